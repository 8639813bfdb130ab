"""Instant queries to Prometheus."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

from tidegate.verify.component_client import ComponentClient, ComponentError


async def samples(prometheus: ComponentClient, expression: str) -> list[dict[str, Any]]:
    """The samples of an instant query.

    Raises:
        ComponentError: the query fails.
    """
    response = await prometheus.get(f"/api/v1/query?query={quote(expression)}")
    return list(response["data"]["result"])


async def value(prometheus: ComponentClient, series: str) -> float:
    """The value of a metric with a single series.

    Raises:
        ComponentError: there is no value, or it is NaN.
    """
    found = await samples(prometheus, series)
    number = float(found[0]["value"][1]) if found else math.nan
    if math.isnan(number):
        raise ComponentError(f"Prometheus has no value for {series}")
    return number
