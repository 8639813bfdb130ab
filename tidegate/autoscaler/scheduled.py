"""Scheduled scaling: bounds by the time of day, around any policy.

A window is open in every minute that its cron expression matches: `* 8-17 * * mon-fri` is from eight
to six on working days. A schedule says what is known before it is measured; the policy inside still
decides within it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidegate.autoscaler.compose import clamped
from tidegate.autoscaler.cron import read_cron
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals

# What datetime can say: from 1970 to the year 9999, in any time zone.
LAST_UNIX_SECONDS = 253_402_000_000.0


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds in some minutes of the week.

    Attributes:
        when: a cron expression; the window is open in the minutes that it matches.
        min: never fewer replicas in these; None leaves it to the others.
        max: never more.
        timezone: of the expression, as in the IANA database.
    """

    when: str
    min: int | None = None
    max: int | None = None
    timezone: str = "UTC"


def scheduled(policy: Policy, windows: Sequence[Window], bounds: Bounds) -> Policy:
    """The policy within the bounds of the windows that are open, and always within `bounds`.

    Of several open windows the largest min and the smallest max count; if they contradict each
    other, the min does.

    Raises:
        ValueError: a window has a bad expression, time zone, or min over max.
    """
    opens = [_reader(window) for window in windows]

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decision = policy(state, signals, now)
        unix = signals.unix_seconds
        if unix is None or not math.isfinite(unix) or not 0 <= unix < LAST_UNIX_SECONDS:
            return clamped(decision, bounds, signals.desired, "bounds (the time is not known)")
        open_now = [window for window, is_open in zip(windows, opens, strict=True) if is_open(unix)]
        least = [window.min for window in open_now if window.min is not None]
        most = [window.max for window in open_now if window.max is not None]
        low = bounds.clamp(max(least, default=bounds.min))
        high = max(low, bounds.clamp(min(most, default=bounds.max)))
        by = "; ".join(window.when for window in open_now)
        return clamped(
            decision, Bounds(low, high), signals.desired, f"schedule {by}" if by else "bounds"
        )

    return decide


def _reader(window: Window) -> Callable[[float], bool]:
    """Whether the window is open at a time in seconds since 1970."""
    try:
        zone = ZoneInfo(window.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"there is no time zone {window.timezone!r}") from error
    if window.min is not None and window.max is not None and window.min > window.max:
        raise ValueError(f"window {window.when!r}: min {window.min} is over max {window.max}")
    cron = read_cron(window.when)
    return lambda unix: cron.matches(datetime.fromtimestamp(unix, zone))
