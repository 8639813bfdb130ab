"""Compositions of policies, and schedules."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.autoscaler.wrappers.combinators import combined
from tidegate.autoscaler.wrappers.schedule import scheduled
from tidegate.settings.schedule import ScheduleWindow

HELD = 5
MADE_OF = {"parts": ["as they were chosen"]}


def seen(at: str | None = None) -> Signals:
    unix = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() if at else None
    return Signals(1.0, 0.1, 1.0, 4, HELD, HELD, HELD, 0.1, 1.0, unix_seconds=unix)


def wants(number: int) -> Policy:
    """A policy that always decides this number, and counts its ticks."""

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        ticks = state.get("ticks", 0) + 1
        return Decision(number, "hold", f"{number} it is", {"wants": number}, {"ticks": ticks})

    return decide


def test_the_largest_and_the_smallest_decide() -> None:
    parts = {"calm": wants(2), "eager": wants(7), "fair": wants(4)}
    most = combined("max", parts, MADE_OF)({}, seen(), 1.0)
    fewest = combined("min", parts, MADE_OF)({}, seen(), 1.0)
    assert (most.desired, fewest.desired) == (7, 2)
    assert most.explanation == "eager: 7 it is; calm wants 2, fair wants 4"
    assert fewest.explanation == "calm: 2 it is; eager wants 7, fair wants 4"
    assert most.inputs["chosen"] == "eager"
    assert most.inputs["parameters"] == MADE_OF
    recorded = {"policy": "fair", "desired": 4, "reason": "hold", "inputs": {"wants": 4}}
    assert most.inputs["parts"][2] == recorded


def test_of_equal_parts_the_first_is_named() -> None:
    parts = {"one": wants(3), "two": wants(3)}
    assert combined("max", parts, MADE_OF)({}, seen(), 1.0).inputs["chosen"] == "one"
    assert combined("min", parts, MADE_OF)({}, seen(), 1.0).inputs["chosen"] == "one"


@pytest.mark.parametrize(
    ("wanted", "bounds", "desired", "reason"),
    [
        (4, Bounds(1, 9), 4, "hold"),
        (12, Bounds(1, 9), 9, "up"),
        (1, Bounds(3, 9), 3, "down"),
        (12, Bounds(1, HELD), HELD, "limited"),
        (2, Bounds(HELD, 9), HELD, "limited"),
    ],
)
def test_bounds_around_a_policy(wanted: int, bounds: Bounds, desired: int, reason: str) -> None:
    decision = scheduled(wants(wanted), [], bounds)({}, seen(), 1.0)
    assert (decision.desired, decision.reason) == (desired, reason)
    assert (f"else {wanted}" in decision.explanation) == (wanted != desired)
    assert decision.explanation.startswith("5 held: ") == (reason == "limited")
    assert decision.state == {"ticks": 1}


WORKDAY = ScheduleWindow(cron="* 8-17 * * mon-fri", min=4, max=8)
NIGHT = ScheduleWindow(cron="* 22-23,0-5 * * *", max=2)
BERLIN = ScheduleWindow(cron="0-29 9 * * *", min=6, timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("wanted", "at", "desired"),
    [
        (1, "2026-03-02T08:30", 4),  # a Monday
        (1, "2026-03-02T17:59", 4),
        (1, "2026-03-02T18:00", 1),
        (9, "2026-03-02T12:00", 8),
        (6, "2026-03-02T12:00", 6),
        (1, "2026-03-01T12:00", 1),  # a Sunday
        (9, "2026-03-02T23:00", 2),
        (9, "2026-03-03T05:59", 2),
        (9, "2026-03-03T06:00", 9),
        (1, "2026-03-01T08:10", 6),  # 9:10 in Berlin
        (1, "2026-07-05T07:10", 6),  # in summer too
        (1, "2026-03-01T08:30", 1),
        (99, "2026-03-01T12:00", 20),
        (1, None, 1),
        (99, None, 20),
    ],
)
def test_windows_bound_a_policy_in_their_minutes(wanted: int, at: str | None, desired: int) -> None:
    policy = scheduled(wants(wanted), [WORKDAY, NIGHT, BERLIN], Bounds(1, 20))
    assert policy({}, seen(at), 1.0).desired == desired


def test_the_minimum_wins_if_windows_contradict_each_other() -> None:
    windows = [ScheduleWindow(cron="* * * * *", min=6), ScheduleWindow(cron="* * * * *", max=3)]
    decision = scheduled(wants(1), windows, Bounds(1, 9))({}, seen("2026-03-02"), 1.0)
    assert decision.desired == 6
    assert "from 6 to 6; else 1" in decision.explanation


@pytest.mark.parametrize("unix", [float("nan"), -1.0, 1e300])
def test_an_invalid_time_leaves_the_bounds(unix: float) -> None:
    signals = Signals(1.0, 0.1, 1.0, 4, 5, 5, 5, 0.1, 1.0, unix_seconds=unix)
    assert scheduled(wants(1), [WORKDAY], Bounds(2, 9))({}, signals, 1.0).desired == 2


def changes_of(zone: ZoneInfo) -> list[int]:
    """The minutes since 1970 at which the clocks of a zone change in 2026."""
    first = round(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) // 60

    def offset(minute: int) -> timedelta | None:
        return datetime.fromtimestamp(60 * minute, zone).utcoffset()

    days = range(first, first + 365 * 1440, 1440)
    changed = [day for day in days if offset(day) != offset(day + 1440)]
    return [
        next(at for at in range(day, day + 1441) if offset(at) != offset(day)) for day in changed
    ]


# Zones with the same clock in all of the year are tried once.
ZONES = {
    (datetime.fromtimestamp(60 * changes[0], ZoneInfo(name)).utcoffset(), *changes): name
    for name in sorted(available_timezones())
    if len(changes := changes_of(ZoneInfo(name))) == 2
}


@pytest.mark.parametrize("zone", ZONES.values())
def test_a_window_opens_in_each_minute_that_matches_when_the_clocks_change(zone: str) -> None:
    for change in changes_of(ZoneInfo(zone)):
        span = range(change - 150, change + 150)
        shown = {at: datetime.fromtimestamp(60 * at, ZoneInfo(zone)) for at in span}
        skipped_or_doubled = shown[change - 31].hour + 1, shown[change - 31].hour
        for hour in {number % 24 for number in skipped_or_doubled}:
            for cron, minutes in ((f"30 {hour} * * *", 1), (f"0,20,40 {hour} * * *", 10)):
                window = ScheduleWindow(cron=cron, minutes=minutes, min=4, timezone=zone)
                policy = scheduled(wants(1), [window], Bounds(1, 9))
                listed = {int(one) for one in cron.split()[0].split(",")}
                for at in span[30:]:
                    last = (shown[at - ago] for ago in range(minutes))
                    opened = any(one.hour == hour and one.minute in listed for one in last)
                    signals = replace(seen(), unix_seconds=60.0 * at)
                    assert policy({}, signals, 1.0).desired == (4 if opened else 1), (cron, at)


@pytest.mark.parametrize(
    ("expression", "opens"),
    [
        # 02:30 does not exist on 29 March, and occurs twice on 25 October.
        ("30 2 29 3 *", []),
        ("30 2 25 10 *", ["2026-10-25T00:30", "2026-10-25T01:30"]),
        ("30 * 25 10 *", ["2026-10-25T00:30", "2026-10-25T01:30"]),
    ],
)
def test_a_window_stays_open_for_its_minutes_when_the_clocks_change(
    expression: str, opens: list[str]
) -> None:
    window = ScheduleWindow(cron=expression, min=4, timezone="Europe/Berlin", minutes=20)
    policy = scheduled(wants(1), [window], Bounds(1, 9))
    for opening in opens:
        begin = datetime.fromisoformat(opening)
        for minute, desired in ((-1, 1), (0, 4), (19, 4), (20, 1)):
            at = (begin + timedelta(minutes=minute)).isoformat()
            assert policy({}, seen(at), 1.0).desired == desired
    begin = datetime.fromisoformat("2026-10-25" if opens else "2026-03-29")
    minutes = [(begin + timedelta(minutes=minute)).isoformat() for minute in range(150)]
    is_open = [policy({}, seen(at), 1.0).desired == 4 for at in minutes]
    assert sum(is_open) == 20 * len(opens)
