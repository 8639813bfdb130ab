"""When the supervisor says that the machine is full."""

from __future__ import annotations

from tidegate.runtime.event_log import EventLog
from tidegate.stack.supervisor.processors import ProcessorMonitor, processor_seconds


def test_a_full_machine_is_said_once_in_ten_minutes_and_so_is_its_end(event_log: EventLog) -> None:
    share, now, work = 1.0, 0.0, 0.0

    def times() -> tuple[float, float]:
        return work, 2 * now

    monitor = ProcessorMonitor(event_log, times, lambda: now)

    def minutes(count: int) -> None:
        nonlocal now, work
        for _ in range(12 * count):
            now += 5.0
            work += 10.0 * share
            monitor.observe()

    minutes(1)
    assert monitor.problem == ""  # not a minute yet
    minutes(2)
    assert monitor.problem == (
        "the processors of this machine were 100% busy over the last minute: more replicas on it cannot"
        " help"
    )
    assert [entry.action for entry in event_log.recent] == ["processors"]
    minutes(10)
    assert len(event_log.recent) == 2
    share = 0.5
    minutes(2)
    assert monitor.problem == ""
    assert event_log.recent[-1].message == "the processors of this machine have time again"


def test_the_machine_reports_its_seconds() -> None:
    busy, total = processor_seconds()
    assert 0 < busy < total
