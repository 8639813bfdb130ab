"""Scale-ins under load, one replica at a time, fail no request and remove the least busy replica."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from support.components import NIGHTLY
from support.eventually import eventually, eventually_async
from support.ports import free_ports
from support.processes.load import constant
from support.processes.running_stack import Stack, running
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ResizeLimitedError
from tidegate.runtime.metrics_text import sample_value, samples
from tidegate.stack.data_folder import Layout

pytestmark = pytest.mark.e2e

# Two and a half seconds each.
COUNT: Final = 200 if NIGHTLY else 10
# Long requests, so that a few a second keep 13 slots busy, of the 16 of the fewest replicas, on any machine.
SERVICE_SECONDS, RATE, SLOTS = 2.0, 6.5, 4
FEWEST, MOST = 4, 8
# The longest time until a new replica receives its first request.
FIRST_REQUEST_SECONDS: Final = 10.0


class Load(NamedTuple):
    """Of a replica: its requests in progress, and all that it has received."""

    active: int
    total: int


@pytest.fixture
def stack(tmp_path: Path, artefact: Path) -> Iterator[Stack]:
    with running(
        tmp_path,
        artefact,
        autoscaler={"enabled": False},
        replicas={"start": FEWEST, "max": MOST, "first_port": free_ports(MOST + 1)},
        slots={"per_replica": SLOTS},
        device={"simulated": True, "light_seconds": SERVICE_SECONDS},
    ) as started:
        yield started


def gateway_metrics(stack: Stack, scope: str) -> str:
    url = f"http://127.0.0.1:{stack.settings.gateway.metrics_port}/metrics?scope={scope}"
    with urllib.request.urlopen(url, timeout=30) as response:
        return str(response.read().decode())


def ready(stack: Stack) -> set[str]:
    """The names of the ready replicas."""
    return {one["id"] for one in stack.status()["replicas"] if one["state"] == "ready"}


def loads(stack: Stack) -> dict[str, Load]:
    """The load of each replica by its name, as HAProxy counts it."""
    text, service = gateway_metrics(stack, "server"), stack.settings.service.name
    current, total = (
        {
            labels["server"].replace("model", f"{service}-"): int(value)
            for labels, value in samples(text, name, proxy="model")
        }
        for name in ("haproxy_server_current_sessions", "haproxy_server_sessions_total")
    )
    return {name: Load(current[name], total[name]) for name in current}


def wait_until_busy(stack: Stack) -> None:
    """Wait until each ready replica has a request, if that comes: an idle one has nothing to finish."""
    until = time.monotonic() + FIRST_REQUEST_SECONDS
    eventually(
        lambda: (
            time.monotonic() > until
            or all(found.active for name, found in loads(stack).items() if name in ready(stack))
        )
    )


async def test_scale_ins_under_load_fail_no_request_and_remove_the_least_busy_replica(
    stack: Stack, artefact: Path, tmp_path: Path
) -> None:
    resizer = ResizerClient(
        f"unix:{Layout(stack.settings.stack.data_dir).socket}", timeout_seconds=10.0
    )
    busy, judged, done = 0, 0, 0
    with stack.load(
        tmp_path,
        *("--rows", str(artefact / "samples.ndjson")),
        phases=constant(7200, RATE),
        works=("light",),
        arrivals="poisson",
    ) as load:
        while done < COUNT:
            desired = min(MOST, FEWEST + COUNT - done)
            await resizer.resize(desired)
            await eventually_async(lambda desired=desired: len(ready(stack)) == desired)  # type: ignore[misc]
            while desired > FEWEST:
                wait_until_busy(stack)
                names = ready(stack)
                before = {name: found for name, found in loads(stack).items() if name in names}
                try:
                    await resizer.resize(desired - 1)
                except ResizeLimitedError as limited:
                    await asyncio.sleep(limited.retry_after_seconds)
                    continue
                await eventually_async(lambda names=names: ready(stack) < names)  # type: ignore[misc]
                after = loads(stack)
                (removed,) = names - ready(stack)
                desired, done, busy = desired - 1, done + 1, busy + (before[removed].active > 0)
                # Only of replicas that received and finished nothing meanwhile is the choice known.
                same = {name for name in before if before[name] == after.get(name)}
                if removed in same:
                    judged += 1
                    assert before[removed].active == min(before[name].active for name in same)
            await eventually_async(lambda: len(stack.status()["replicas"]) == FEWEST)
        summary = load.stop()
    assert summary["failed"] == 0, summary
    assert summary["answered"] > COUNT
    # The gateway would send the request of a replica that broke off to another one.
    backend = gateway_metrics(stack, "backend")
    assert sample_value(backend, "haproxy_backend_retry_warnings_total", proxy="model") == 0
    assert not any(one["restarts"] for one in stack.status()["replicas"])
    assert busy >= COUNT / 2
    assert judged >= COUNT / 2
