"""Scheduled scaling: bounds by the time of day, around any policy.

A window opens in every minute that its cron expression matches, and stays open for so many minutes:
`* 8-17 * * mon-fri` is from eight to six on working days, and so is `0 8 * * mon-fri` for 600 minutes. A
schedule says what is known before it is measured; the policy inside still
decides within it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidegate.autoscaler.compose import clamped
from tidegate.autoscaler.cron import read_cron
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals

# What datetime can say: from 1970 to the year 9999, in any time zone.
LAST_UNIX_SECONDS = 253_402_000_000.0
DAY_MINUTES = 1440


@dataclass(frozen=True, slots=True)
class Window:
    """Bounds in some minutes of the week.

    Attributes:
        when: a cron expression; the window opens in the minutes that it matches.
        min: never fewer replicas in these; None leaves it to the others.
        max: never more.
        timezone: of the expression, as in the IANA database.
        minutes: how long it stays open, from the beginning of such a minute; a day at most.
    """

    when: str
    min: int | None = None
    max: int | None = None
    timezone: str = "UTC"
    minutes: int = 1


def scheduled(policy: Policy, windows: Sequence[Window], bounds: Bounds) -> Policy:
    """The policy within the bounds of the windows that are open, and always within `bounds`.

    Of several open windows the largest min and the smallest max count; if they contradict each
    other, the min does.

    Raises:
        ValueError: a window has a bad expression, time zone, or min over max.
    """
    opens = [_reader(window) for window in windows]
    told = {"windows": [asdict(window) for window in windows], **asdict(bounds)}

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decision = policy(state, signals, now)
        decision = replace(decision, inputs={**decision.inputs, "schedule": told})
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


def check(window: Window) -> None:
    """Raise `ValueError` if a window has a bad expression, time zone, length, or min over max."""
    _reader(window)


def _reader(window: Window) -> Callable[[float], bool]:
    """Whether the window is open at a time in seconds since 1970."""
    try:
        zone = ZoneInfo(window.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {window.timezone!r}") from error
    if window.min is not None and window.max is not None and window.min > window.max:
        raise ValueError(f"window {window.when!r}: min {window.min} is over max {window.max}")
    if not 1 <= window.minutes <= DAY_MINUTES:
        raise ValueError(f"window {window.when!r}: minutes must be from 1 to {DAY_MINUTES}")
    cron = read_cron(window.when)

    @lru_cache(maxsize=4)
    def is_open(minute: int) -> bool:
        begins = range(minute, max(-1, minute - window.minutes), -1)
        return any(cron.matches(datetime.fromtimestamp(60.0 * begin, zone)) for begin in begins)

    return lambda unix: is_open(int(unix // 60))
