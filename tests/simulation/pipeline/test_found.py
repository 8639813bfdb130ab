"""Faults that the simulation has found in production code, as the shortest schedules that showed them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.store.embedded import store

from .schedule import Configuration, Fault, Op, Run, Schedule
from .seeds import violation
from .simulation import Simulation

SMALL = Configuration(
    sink="elasticsearch",
    batch_events=3,
    file_bytes=1200,
    keep_seconds=30.0,
    keep_bytes=10**9,
    longest=4000,
    quarantine_bytes=10**8,
)
DELIVER = Op("c0", 1, "deliver")
JUNK = Op("other", 1, "junk")
FOUND: dict[str, tuple[Run | Fault, ...]] = {
    "the temporary file of a checkpoint stays for ever after a kill": (
        Fault("c0", 31, "kill", 0),
        Run((Op("w0", 1, "plain"), DELIVER), 0, 0.0),
    ),
    "a collector that cannot read a file at its end says that all is delivered": (
        Run((DELIVER,), 0, 0.0),
        Run((Op("w0", 1, "plain"),), 0, 0.0),
        Fault("c0", 7, "eio", 0),
        Run((Op("c0", 1, "term"),), 0, 0.0),
    ),
    "a line that a killed collector has put into the quarantine is taken for flushed": (
        Fault("c0", 43, "kill", 0),
        Run((JUNK, DELIVER), 0, 0.0),
        Run((DELIVER,), 0, 0.0),
        Fault("c0", 1, "power", 0),
        Run((DELIVER,), 0, 0.0),
    ),
    "the checkpoint is on the disk before the name of the quarantine": (
        Fault("c0", 51, "power", 1),
        Run((JUNK, DELIVER), 0, 0.0),
    ),
    "a file whose status cannot be read is reported as lost": (
        Run((Op("w0", 5, "plain"),), 0, 0.0),
        Run((DELIVER,), 0, 0.0),
        Fault("c0", 4, "eio", 0),
        Run((DELIVER,), 0, 0.0),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_fault_that_was_found_stays_away(name: str) -> None:
    assert violation(Schedule(SMALL, FOUND[name])) == ""


@pytest.mark.parametrize("salt", [1, 3, 4])
def test_a_commit_of_the_embedded_store_is_on_the_disk_before_event_files_are_deleted(
    salt: int,
) -> None:
    later = Run((DELIVER,), 0, 100.0)
    written = Run((Op("w0", 5, "plain"), Op("w0", 0, "close")), 0, 7.0)
    records = (written, later, later, later, Fault("c0", 1, "power", salt), later)
    settings = replace(SMALL, sink="embedded", batch_events=9, keep_seconds=0.0, keep_bytes=0)
    assert violation(Schedule(settings, records)) == ""


def test_a_rebuilt_store_is_on_the_disk_before_the_earlier_one_is_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def calls(*later: Fault) -> list[str]:
        """The calls of a collector of another version than the one before."""
        written = Run((Op("w0", 5, "plain"), DELIVER), 0, 0.0)
        again = Run((DELIVER,), 0, 0.0)
        killed = Fault("c0", 1, "kill", 0)
        schedule = Schedule(
            replace(SMALL, sink="embedded"), (written, again, killed, again, *later, again)
        )
        simulation = Simulation(schedule, traced=True)
        machine = simulation.machine
        monkeypatch.setattr(store, "digest", lambda: f"{machine.process.pid}")
        simulation.run()
        assert machine.trace is not None
        return machine.trace[machine.trace.index("fault kill") + 1 :]

    rebuilds = [at for at, call in enumerate(calls(), 1) if call.startswith("c0 rmtree")]
    for salt in range(4):
        assert "fault power" in calls(Fault("c0", rebuilds[0], "power", salt))
