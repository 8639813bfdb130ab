"""A load that begins as soon as `tidegate up` says that the stack is ready."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.checkout import ROOT
from support.eventually import eventually
from support.harnesses.event_files import events_in
from support.processes.running_stack import Stack, running

pytestmark = pytest.mark.e2e

BURST = 80


def first_rise(stack: Stack) -> dict[str, Any] | None:
    """The first decision that adds replicas."""
    decisions = (one["tidegate"]["decision"] for one in events_in(stack.data / "logs", "decision"))
    return next((one for one in decisions if one["reason"] == "up"), None)


def test_a_load_right_after_the_start_is_decided_on_before_prometheus_knows_of_it(
    tmp_path: Path, artefact: Path
) -> None:
    row = json.loads((ROOT / "artefacts/flights/samples.ndjson").read_text().splitlines()[0])
    body = json.dumps({"instances": [row]}).encode()
    # Two scrapes, which a rate needs, take 5 s to 10 s.
    slow: dict[str, Any] = {"prometheus": {"scrape_seconds": 5}, "device": {"simulated": True}}
    with (
        running(tmp_path, artefact, **slow) as stack,
        ThreadPoolExecutor(BURST) as pool,
    ):
        sent = [pool.submit(stack.send, "/predict", body) for _ in range(BURST)]
        decided = eventually(lambda: first_rise(stack), "replicas are added")
        assert not decided["signals"]["arrival_rate"]
        assert decided["inputs"]["between"]
        assert {one.result().status for one in sent} == {200}
