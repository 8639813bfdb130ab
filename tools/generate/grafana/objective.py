"""What panels say of the latency objective, which is about the last or the first byte of a response."""

from __future__ import annotations

from tidegate.settings import Slo


def response_time_title(slo: Slo) -> str:
    """The title of a panel with the time that the objective is about."""
    return "Time to the first byte" if slo.until == "first_byte" else "Response time"


def finish(slo: Slo) -> str:
    """What a request does within the objective."""
    return "send their first byte" if slo.until == "first_byte" else "finish"


def slot_series(slo: Slo) -> tuple[str, str]:
    """The recorded series of the time in a slot that counts for the objective, and its legend."""
    if slo.until == "first_byte":
        return (
            "service:slot_objective_seconds_p95:1m",
            "p95 of the time in a slot to the first byte",
        )
    return "service:slot_seconds_p95:1m", "p95 of the time in a slot"
