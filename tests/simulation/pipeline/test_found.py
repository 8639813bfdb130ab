"""Faults that the simulation has found in production code, as the shortest schedules that showed them."""

from __future__ import annotations

import pytest

from .schedule import Configuration, Fault, Op, Run, Schedule
from .seeds import violation

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
}


@pytest.mark.parametrize("name", FOUND)
def test_a_fault_that_was_found_stays_away(name: str) -> None:
    assert violation(Schedule(SMALL, FOUND[name])) == ""
