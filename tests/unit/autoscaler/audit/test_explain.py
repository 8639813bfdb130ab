"""`tidegate explain` on a real embedded store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tidegate.autoscaler.audit import explain as explaining
from tidegate.autoscaler.audit.explain import explain
from tidegate.autoscaler.audit.intervals import merge_unchanged
from tidegate.events.event import Event, Origin, make_event
from tidegate.settings import Settings, load
from tidegate.store import open_store

ORIGIN = Origin("flights", "1.2.3", "test", "autoscaler", "default")
SIGNALS = {"arrival_rate": 212.0, "service_seconds": 0.081, "in_system": 18.0, "ready": 5}
START_NS = 1_772_438_400 * 10**9  # 08:00:00
UP = "5 → 7: 212 requests/s × 0.081 s = 17.2 slots of work; 7 replicas keep P(wait > 0.31 s) ≤ 2 %"  # noqa: RUF001
HELD = (
    "7 held: 190 requests/s × 0.08 s = 15.2 slots of work; 6 replicas keep P(wait > 0.31 s) ≤ 2 %;"  # noqa: RUF001
    " 7 were needed 30 s ago with a margin of 8 %, and stay for 120 s"
)
HOLDING = "08:00:10 – 08:03:15  "  # noqa: RUF001


def record(tick: int, previous: int, desired: int, message: str, reason: str, **more: Any) -> Event:
    numbers = {"desired": desired, "previous": previous, "reason": reason, "policy": "sloq"}
    fields = {"tidegate": {"decision": {**numbers, "signals": SIGNALS, **more}}}
    at_ns = START_NS + tick * 5 * 10**9
    return make_event(ORIGIN, "decision", message, unix_ns=at_ns, fields=fields)


STORY = [
    record(0, 5, 5, "5 held: the arrival rate is not known", "no-signal"),
    record(1, 5, 7, UP, "up"),
    *(record(tick, 7, 7, HELD, "stabilized") for tick in range(2, 40)),
    record(40, 7, 6, "7 → 6: fewer", "down"),
    record(41, 6, 5, "6 → 5: fewer", "down"),
]


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(stack={"data_dir": tmp_path / "data"})


Shown = Callable[..., list[str]]


@pytest.fixture
def shown(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Shown:
    """Stores events, and returns the lines that explain the last decisions."""

    def show(
        events: list[Event], last: int = 20, *, inputs: bool = False, json: bool = False
    ) -> list[str]:
        with closing(open_store(settings)) as store:
            store.append(events)
        assert explain(settings, last=last, inputs=inputs, as_json=json) == 0
        return capsys.readouterr().out.splitlines()

    return show


def test_changes_are_shown_alone_and_unchanged_ticks_are_merged(shown: Shown) -> None:
    assert shown(STORY) == [
        "08:00:00             5 held: the arrival rate is not known",
        f"08:00:05             {UP}",
        f"{HOLDING}{HELD} (38 ticks)",
        "08:03:20             7 → 6: fewer",
        "08:03:25             6 → 5: fewer",
    ]


def test_the_requested_lines_are_shown_and_a_long_interval_is_read_to_its_begin(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "PAGES", (4, 100))
    begins = [line[:21] for line in shown(STORY, 3)]
    assert begins == [HOLDING, "08:03:20             ", "08:03:25             "]


def test_signals_are_shown_on_request(shown: Shown) -> None:
    title, *rows = shown(STORY, 4, inputs=True)
    assert title.split()[:4] == ["time", "number", "reason", "rate/s"]
    assert rows[0].split() == [
        "08:00:05", "5", "→", "7", "up", "212", "0.081", "18", "5", "–", "–",  # noqa: RUF001
    ]  # fmt: skip


def test_json_has_the_event_of_every_tick(shown: Shown) -> None:
    assert [json.loads(line) for line in shown(STORY, 10, json=True)] == STORY[-10:]


def test_an_empty_or_unreadable_store_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = load(stack={"data_dir": tmp_path / "empty"})
    open_store(empty).close()
    assert explain(empty, last=1, inputs=False, as_json=False) == 1
    assert capsys.readouterr().err == "no decision in the store\n"
    away = load(store={"kind": "elasticsearch", "elasticsearch": {"url": "http://127.0.0.1:9"}})
    assert explain(away, last=1, inputs=False, as_json=False) == 2
    assert capsys.readouterr().err.startswith("explain: ")


def test_an_event_without_a_decision_is_an_interval_too() -> None:
    odd: list[Event] = [{"event": {"dataset": "tidegate.decision"}}, {"tidegate": {"decision": 7}}]
    assert [one.count for one in merge_unchanged(odd)] == [2]
    assert sum(one.count for one in merge_unchanged(STORY)) == len(STORY)


MUCH = "3 held: much to do; they start; 4 slots per replica until the new ones are ready"
READY = "3 held: they are ready"
LENT = [
    record(tick, 3, 3, message, "hold", slots=slots, signals={**SIGNALS, "slots_asked": asked})
    for tick, (slots, asked, message) in enumerate(
        [
            (2, 2, "3 held: little to do"),
            (4, 2, MUCH),
            (4, 4, MUCH),
            (4, 4, MUCH),
            (2, 4, f"{READY}; 2 slots per replica again"),
            (2, 2, READY),
        ]
    )
]


def test_a_change_of_slots_is_a_change(shown: Shown) -> None:
    assert [line[21:] for line in shown(LENT, 10)] == [
        "3 held: little to do",
        MUCH,
        f"{MUCH} (2 ticks)",
        f"{READY}; 2 slots per replica again",
        READY,
    ]
    lines = shown([], 10, inputs=True)[1:]
    numbers = [line.split("hold")[0][9:].strip() for line in lines]
    assert numbers == ["3 × 2", "3 × 2 → 3 × 4", "3 × 4", "3 × 4 → 3 × 2", "3 × 2"]  # noqa: RUF001


def test_a_pause_is_shown_for_the_time_it_was_in_force(shown: Shown) -> None:
    control: dict[str, object] = {"until": 1.0, "min": 3, "max": None}
    paused = {"inputs": {"control": control}}
    idle = [record(tick, 4, 4, "4 held: idle", "hold", inputs={}) for tick in [*range(20), 22]]
    held = [record(tick, 4, 4, "4 held: idle; by hand", "hold", **paused) for tick in (20, 21)]
    assert shown([*idle[:20], *held, idle[20]], 9) == [
        "08:00:00 – 08:01:35  4 held: idle (20 ticks)",  # noqa: RUF001
        "08:01:40 – 08:01:45  4 held: idle; by hand (2 ticks)",  # noqa: RUF001
        "08:01:50             4 held: idle",
    ]
