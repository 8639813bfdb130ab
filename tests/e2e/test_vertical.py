"""Slots change in a running stack: no request is lost or waits in a replica, and decisions are recorded."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.components import IN_CI
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import Stack, running
from support.scrape import scrape
from tidegate.resizer.contract import ReplicaStatus, ResizeRefusedError
from tidegate.stack.data_folder import Layout

pytestmark = [pytest.mark.e2e, IN_CI]

DEVICE_SECONDS = 0.3
INITIAL, MAX = 2, 4
SLOTS = {"per_replica": INITIAL, "max": MAX}
DEVICE = {"simulated": True, "light_seconds": DEVICE_SECONDS}


@contextmanager
def clients(stack: Stack, artefact: Path, count: int) -> Iterator[list[int]]:
    """Clients each of which sends its next request after its response; yields the statuses so far."""
    row = json.loads((artefact / "samples.ndjson").read_text().splitlines()[0])
    body = json.dumps({"instances": [row]}).encode()
    end, statuses = threading.Event(), list[int]()

    def send() -> None:
        while not end.is_set():
            statuses.append(stack.send("/predict", body).status)

    with ThreadPoolExecutor(count) as pool:
        sending = [pool.submit(send) for _ in range(count)]
        try:
            yield statuses
        finally:
            end.set()
    for one in sending:
        one.result()


def resize(stack: Stack, desired: int, slots: int) -> ReplicaStatus:
    return asyncio.run(stack.resizer().resize(desired, slots))


def of_replica(stack: Stack, index: int, name: str) -> float | None:
    return scrape(stack.first_replica + index - 1, name)


def limit(stack: Stack, index: int) -> float:
    """The maximum of concurrent requests that the gateway sends a replica."""
    labels = {"proxy": "model", "server": f"model{index}"}
    port = stack.settings.gateway.metrics_port
    return scrape(port, "haproxy_server_limit_sessions", **labels) or 0.0


def wait_for_slots(stack: Stack, slots: int, *indexes: int) -> None:
    """Wait until these replicas have this number of slots, and the gateway sends each as many requests."""
    eventually(
        lambda: all(
            of_replica(stack, index, "tidegate_slots") == slots == limit(stack, index)
            for index in indexes
        ),
        f"{slots} slots of each replica",
    )


def wait_until_busy(stack: Stack, slots: int) -> None:
    eventually(
        lambda: of_replica(stack, 1, "tidegate_slots_busy") == slots, f"{slots} slots are busy"
    )


def test_slots_change_under_load_and_survive_restarts(tmp_path: Path, artefact: Path) -> None:
    with running(
        tmp_path,
        artefact,
        slots=SLOTS,
        device=DEVICE,
        autoscaler={"enabled": False},
        telemetry={"sample_ratio": 1},
    ) as stack:
        with clients(stack, artefact, 12) as answers:
            wait_until_busy(stack, INITIAL)
            with pytest.raises(ResizeRefusedError, match=r"5 slots are outside \[1, 4\]"):
                resize(stack, 1, MAX + 1)

            assert resize(stack, 1, MAX).slots == MAX
            wait_until_busy(stack, MAX)
            wait_for_slots(stack, MAX, 1)
            assert limit(stack, 2) == MAX  # applies to the second replica when it starts
            assert stack.status()["slots"] == MAX

            resize(stack, 1, INITIAL)
            wait_for_slots(stack, INITIAL, 1)
            wait_until_busy(stack, INITIAL)
            count, seen = len(answers), list[float]()
            while len(answers) < count + 20:
                seen.append(of_replica(stack, 1, "tidegate_slots_busy") or 0)
            assert max(seen) <= INITIAL
        assert set(answers) == {200}
        # Only requests in flight during the reduction may have waited in a replica.
        waits = eventually(lambda: stack.search("span.name:slot.wait").hits, "spans are stored")
        long = [one for one in waits if one["event"]["duration"] / 1e9 > DEVICE_SECONDS / 2]
        assert len(long) <= MAX - INITIAL

        resize(stack, 2, 3)  # starts a replica at the same time
        eventually(lambda: stack.status()["ready"] == 2, "the second is ready")
        wait_for_slots(stack, 3, 1, 2)
        config = Layout(stack.data).gateway / "haproxy.cfg"
        eventually(lambda: "default-server maxconn 3 " in config.read_text(), "it is configured")
        for name in ("gateway", "flights-1"):
            stack.kill(name)
            wait_for_slots(stack, 3, 1, 2)
        status = " ".join(stack.tidegate("status").stdout.split())
        assert "2 of 2 replicas ready (between 1 and 4), 3 slots each instead of 2" in status


def test_a_load_surge_gets_more_slots_until_the_new_replicas_are_ready(
    tmp_path: Path, artefact: Path
) -> None:
    rows = ("--rows", str(artefact / "samples.ndjson"))
    # 2/s of 0.3 s occupy 0.6 slots; 16/s occupy 4.8, which needs at least three replicas.
    phases = f"{constant(10, 2)}, {constant(600, 16)}"
    with running(
        tmp_path,
        artefact,
        slots=SLOTS,
        slo={"latency_seconds": 1.2},
        device=DEVICE,
        autoscaler={"policy": "surge", "tick_seconds": 1},
    ) as stack:
        with stack.load(tmp_path, *rows, phases=phases, works=("light",)) as load:
            # Read from the gateway: while `status` runs, the slots may already be reduced again.
            eventually(lambda: limit(stack, 1) > INITIAL, "slots are lent")
            eventually(
                lambda: (
                    (now := stack.status())["slots"] == INITIAL
                    and now["ready"] == now["desired"] > 2
                ),
                "they are given back when the replicas are ready",
            )
            wait_for_slots(stack, INITIAL, 1, 2, 3)
            assert load.stop()["failed"] == 0
        explanation = eventually(
            lambda: text if "slots per replica again" in (text := explain(stack).stdout) else "",
            "the decisions are stored",
        )
        assert re.search(r"→ \d: .*; [34] slots per replica until the new ones", explanation)
        assert re.search(r"1 × 2 → \d × [34]", explain(stack, "--inputs").stdout)  # noqa: RUF001
        recorded = tmp_path / "decisions.ndjson"
        recorded.write_text(explain(stack, "--json").stdout)
        replayed = stack.tidegate("replay", str(recorded))
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr
        assert "each the same to the byte" in replayed.stdout


def explain(stack: Stack, *options: str) -> subprocess.CompletedProcess[str]:
    return stack.tidegate("explain", "--last", "1000", *options)
