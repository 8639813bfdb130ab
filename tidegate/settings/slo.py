"""The section of the service level objective."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tidegate.settings.section import Seconds, Section


class Slo(Section):
    """The service level objective, which rules, alerts and the autoscaler use."""

    latency_seconds: Seconds = 0.5
    """Response time, measured from the arrival at the gateway, that the fraction `latency_quantile` of
    requests must not exceed."""
    latency_quantile: float = Field(default=0.95, gt=0.5, lt=1)
    """Fraction of requests that must get a response within `latency_seconds`."""
    until: Literal["last_byte", "first_byte"] = "last_byte"
    """Which byte of the response must arrive within `latency_seconds`: the last one, or the first one of the
    body, for responses that are streams."""
    availability: float = Field(default=0.999, gt=0.5, lt=1)
    """Fraction of requests whose response must be neither a 5xx nor cut off by the replica."""
