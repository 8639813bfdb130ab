"""A disk that is full for a while: the stack serves meanwhile, and recovers by itself."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.components import unavailable
from support.doubles.small_disk import CannotMountError, fill, make_room, mounted
from support.eventually import eventually
from support.processes.running_stack import Stack, running
from tidegate.stack.data_folder import Layout

pytestmark = pytest.mark.integration

BYTES = 64 * 2**20
# The autoscaler decides often, so that it also writes on the full disk.
FREQUENT_TICKS = {"autoscaler": {"tick_seconds": 1}}


@pytest.fixture
def stack(tmp_path: Path, artefact: Path) -> Iterator[Stack]:
    try:
        with (
            mounted(tmp_path / "data", BYTES),
            running(tmp_path, artefact, **FREQUENT_TICKS) as made,
        ):
            yield made
    except CannotMountError as error:
        unavailable(f"a tmpfs cannot be mounted (that takes root with CAP_SYS_ADMIN): {error}")


def served(stack: Stack) -> str:
    """Send a request. Returns its trace id."""
    samples = stack.settings.model.path / "samples.ndjson"
    row = json.loads(samples.read_text().splitlines()[0])
    answer = stack.send("/predict", json.dumps({"instances": [row]}).encode())
    assert answer.status == 200, answer
    return answer.headers["traceresponse"].split("-")[1]


async def test_the_stack_serves_on_a_full_disk_and_recovers_afterwards(stack: Stack) -> None:
    data = stack.settings.stack.data_dir
    autoscaler = stack.program("autoscaler")["pid"]
    fill(data, *Layout(data).run.glob("*.log"))
    found = stack.status()
    assert found["state"] == "degraded"
    assert found["problem"].startswith(f"the disk of {data} is full (")

    # Each of these writes to the full disk, and must continue.
    stack.kill("collector")
    stack.kill("flights-1")
    assert (await stack.resizer().resize(2)).desired == 2
    eventually(lambda: stack.status()["desired"] == 1, "the autoscaler sets its own number again")
    served(stack)

    make_room(data)
    freed = time.time()
    query = f"trace.id:{served(stack)} AND event.dataset:tidegate.request"
    eventually(lambda: stack.search(query).total, "an event is found")
    decisions = "event.dataset:tidegate.decision"
    eventually(
        lambda: any(
            hit["tidegate"]["decision"]["signals"]["unix_seconds"] > freed
            for hit in stack.search(decisions, 1).hits
        ),
        "a decision is found",
    )
    recorded = f"timestamp(service:slots:now) > {freed}"
    eventually(lambda: stack.query(recorded), "Prometheus records again")
    eventually(lambda: stack.status()["state"] == "ready", "all is ready")
    assert stack.program("autoscaler")["pid"] == autoscaler
    # Programs still restart.
    stack.kill("collector")
