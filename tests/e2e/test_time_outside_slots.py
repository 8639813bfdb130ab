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

from support.components import IN_CI
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import MAX_REPLICAS, Stack, running

pytestmark = [pytest.mark.e2e, IN_CI]

# Each request blocks the event loop for 30 ms before it takes its slot, where nearly none is spent. So
# two replicas complete 60 requests/s, and four more than arrive.
APPLICATION = """
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
"""
FEW = 2
WITHIN_SECONDS = 30


@contextmanager
def loaded(folder: Path, artefact: Path) -> Iterator[Stack]:
    """A stack of two replicas of that application, which get a hundred requests a second."""
    (folder / "blocked.py").write_text(APPLICATION)
    bodies = folder / "bodies.ndjson"
    bodies.write_text("{}\n")
    sent = ("--path", "/alone", "--body", str(bodies))
    with (
        running(
            folder,
            artefact,
            service={"app": "blocked:app", "app_dir": str(folder)},
            replicas={"start": FEW, "min": FEW},
            # Its counters show the jump, and all replicas would start before a queue stands.
            autoscaler={"gateway_metrics_url": "http://127.0.0.1:1/metrics"},
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
    with loaded(tmp_path, artefact) as stack:

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
