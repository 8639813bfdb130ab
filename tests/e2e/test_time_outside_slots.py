"""Replicas whose time is spent outside their slots: the rate at which requests leave them is what counts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pytest

from support.components import AT_NIGHT, IN_CI
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import MAX_REPLICAS, Stack, running

pytestmark = [pytest.mark.e2e, IN_CI]

# Each request blocks the event loop for 30 ms before it takes its slot, where nearly none is spent. So
# two replicas complete 60 requests/s. Four complete more than arrive, or 30 if only one works at a time.
APPLICATION = """
import fcntl
import time

from fastapi import FastAPI

from tidegate.serving import acquire_slot, manual_slots

app = FastAPI()
manual_slots(app)


@app.post("/alone")
async def alone() -> dict[str, bool]:
    time.sleep(0.03)
    with await acquire_slot():
        return {"answered": True}


@app.post("/in-turn")
async def in_turn() -> dict[str, bool]:
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return await alone()
"""
FEW = 2
WITHIN_SECONDS = 30


@contextmanager
def loaded(folder: Path, artefact: Path, path: str) -> Iterator[Stack]:
    """A stack of two replicas of that application, which get a hundred requests a second."""
    (folder / "blocked.py").write_text(APPLICATION)
    bodies = folder / "bodies.ndjson"
    bodies.write_text("{}\n")
    sent = ("--path", path, "--body", str(bodies))
    with (
        running(
            folder,
            artefact,
            service={"app": "blocked:app", "app_dir": str(folder)},
            replicas={"start": FEW, "min": FEW},
        ) as stack,
        stack.load(folder, *sent, phases=constant(600, 100)),
    ):
        yield stack


def decisions(stack: Stack) -> list[dict[str, Any]]:
    """The recorded decisions and their sentences, the oldest first."""
    done = stack.run("tidegate", "explain", "--last", "1000", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return [event["tidegate"]["decision"] | {"message": event["message"]} for event in events]


def test_a_standing_queue_leads_to_the_maximum_although_the_slots_are_nearly_empty(
    tmp_path: Path, artefact: Path
) -> None:
    with loaded(tmp_path, artefact, "/alone") as stack:

        def since_it_queues() -> list[dict[str, Any]]:
            """The decisions since a request waits for each replica, if one of them is for the maximum."""
            found = [
                *dropwhile(lambda one: (one["signals"]["queued"] or 0) < FEW, decisions(stack))
            ]
            return found if any(one["desired"] == MAX_REPLICAS for one in found) else []

        queued = eventually(since_it_queues, "all replicas are wanted")
    ticks, risen = next(
        (ticks, one) for ticks, one in enumerate(queued) if one["desired"] == MAX_REPLICAS
    )
    assert ticks * stack.settings.autoscaler.tick_seconds <= WITHIN_SECONDS
    signals = risen["signals"]
    slots = signals["ready"] * signals["slots_per_replica"]
    said = re.search(r"keeps a slot (\S+) times as long", risen["message"])
    assert said, risen["message"]
    assert float(said[1]) == pytest.approx(
        slots / signals["completed_rate"] / signals["service_seconds"], rel=0.3
    )


@AT_NIGHT  # tests/unit/autoscaler/live/test_tick.py has the event, sloq/test_capacity.py when it is due
def test_an_event_says_that_more_replicas_do_not_complete_more_requests(
    tmp_path: Path, artefact: Path
) -> None:
    with loaded(tmp_path, artefact, "/in-turn") as stack:

        def said() -> str:
            query = "service.node.name:autoscaler AND event.action:machine"
            return stack.run("tidegate", "search", query).stdout

        eventually(lambda: "more replicas do not complete more of them" in said(), "an event", 180)
        # The gauge is scraped after the event.
        most = "max_over_time(tidegate_autoscaler_machine_full[1m]) == 1"
        eventually(lambda: stack.query(most), "the gauge is 1")
