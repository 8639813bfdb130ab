"""Scheduled scaling: bounds by time, around any policy.

A window opens in every minute that its cron expression matches, and stays open for its `minutes`:
`* 8-17 * * mon-fri` is from 08:00 to 18:00 on working days, and so is `0 8 * * mon-fri` with 600 minutes.
When clocks change, a minute that they skip opens nothing, and one that they show twice opens twice. The inner
policy decides within the bounds of the open windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.autoscaler.wrappers.combinators import clamped
from tidegate.settings.schedule import DAY_MINUTES, ScheduleWindow

# In the year 9892: datetime ends in the year 9999.
LAST_UNIX_SECONDS = 250_000_000_000.0


def scheduled(policy: Policy, windows: Sequence[ScheduleWindow], bounds: Bounds) -> Policy:
    """The policy within the bounds of the open windows, and always within `bounds`.

    Of several open windows the largest min and the smallest max apply; if they contradict each other, the min
    wins.
    """
    opens = [_is_open(window) for window in windows]
    recorded_schedule = {"windows": [window.model_dump() for window in windows], **asdict(bounds)}

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        decision = policy(state, signals, now)
        decision = replace(decision, inputs={**decision.inputs, "schedule": recorded_schedule})
        unix = signals.unix_seconds
        if unix is None or not isfinite(unix) or not 0 <= unix < LAST_UNIX_SECONDS:
            return clamped(decision, bounds, signals.desired, "bounds (the time is not known)")
        open_now = [window for window, is_open in zip(windows, opens, strict=True) if is_open(unix)]
        minimums = [window.min for window in open_now if window.min is not None]
        maximums = [window.max for window in open_now if window.max is not None]
        low = bounds.clamp(max(minimums, default=bounds.min))
        high = max(low, bounds.clamp(min(maximums, default=bounds.max)))
        by = "; ".join(window.cron for window in open_now)
        return clamped(
            decision, Bounds(low, high), signals.desired, f"schedule {by}" if by else "bounds"
        )

    return decide


def _is_open(window: ScheduleWindow) -> Callable[[float], bool]:
    """Returns whether the window is open at a time in seconds since 1970."""
    zone = ZoneInfo(window.timezone)
    # Its iteration moves or leaves out openings when clocks change, as Debian's cron does.
    cron = CronSim(window.cron, datetime.now(zone))

    @lru_cache(maxsize=2 * DAY_MINUTES)
    def opens(minute: int) -> bool:
        at = datetime.fromtimestamp(60.0 * minute, zone)
        time_matches = at.minute in cron.minutes and at.hour in cron.hours
        return time_matches and at.month in cron.months and cron.match_day(at.date())

    @lru_cache(maxsize=4)
    def is_open(minute: int) -> bool:
        return any(opens(minute - ago) for ago in range(min(window.minutes, minute + 1)))

    return lambda unix: is_open(int(unix // 60))
