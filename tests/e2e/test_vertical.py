"""Slots change in a running stack: no request is lost or waits in a replica, and decisions are recorded."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.components import IN_CI
from support.eventually import eventually
from support.processes.running_stack import Stack, running
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ReplicaStatus, ResizeRefusedError
from tidegate.runtime.metrics_text import sample_value
from tidegate.stack.data_folder import Layout

pytestmark = [pytest.mark.e2e, IN_CI]

DEVICE_SECONDS = 0.3
INITIAL, MAX = 2, 4


@dataclass
class Load:
    """Requests to a stack, sent in a thread until it is stopped."""

    stack: Stack
    body: bytes
    answers: list[int] = field(default_factory=list)
    rate: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    async def closed(self, clients: int) -> None:
        """Closed loop: each client sends its next request after its response."""
        async with aiohttp.ClientSession() as session:

            async def send() -> None:
                while not self._stop.is_set():
                    await self._one(session)

            await asyncio.gather(*(send() for _ in range(clients)))

    async def open(self) -> None:
        """Open loop: `rate` requests per second."""
        async with aiohttp.ClientSession() as session:
            in_flight: set[asyncio.Task[None]] = set()
            while not self._stop.is_set():
                task = asyncio.create_task(self._one(session))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
                await asyncio.sleep(1 / self.rate)
            await asyncio.gather(*in_flight)

    @contextmanager
    def sending(self, clients: int = 0) -> Iterator[None]:
        work = self.closed(clients) if clients else self.open()
        thread = threading.Thread(target=asyncio.run, args=(work,))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    async def _one(self, session: aiohttp.ClientSession) -> None:
        headers = {"Content-Type": "application/json"}
        url = f"{self.stack.url}/predict"
        async with session.post(url, data=self.body, headers=headers) as answer:
            await answer.read()
            self.answers.append(answer.status)


def load(stack: Stack, artefact: Path, rate: float = 0.0) -> Load:
    row = json.loads((artefact / "samples.ndjson").read_text().splitlines()[0])
    return Load(stack, json.dumps({"instances": [row]}).encode(), rate=rate)


def resize(stack: Stack, desired: int, slots: int | None = None) -> ReplicaStatus:
    path = Layout(stack.settings.stack.data_dir).socket
    return asyncio.run(ResizerClient(f"unix:{path}").resize(desired, slots))


def replica_metric(stack: Stack, index: int, metric: str) -> float:
    """A metric that a replica reports; NaN if it does not."""
    return _metric(stack.settings.replicas.first_port + index - 1, metric)


def limit(stack: Stack, index: int) -> float:
    """The maximum of concurrent requests that the gateway sends a replica."""
    labels = {"proxy": "model", "server": f"model{index}"}
    return _metric(stack.settings.gateway.metrics_port, "haproxy_server_limit_sessions", **labels)


def _metric(port: int, name: str, **labels: str) -> float:
    async def ask() -> str:
        url = f"http://127.0.0.1:{port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()

    try:
        found = sample_value(asyncio.run(ask()), name, **labels)
    except aiohttp.ClientError:
        found = None
    return float("nan") if found is None else found


def in_force(stack: Stack, slots: int, *indexes: int) -> bool:
    """Whether these replicas have this number of slots, and the gateway sends each as many requests."""
    return all(
        replica_metric(stack, index, "tidegate_slots") == slots == limit(stack, index)
        for index in indexes
    )


def kill(program: dict[str, Any]) -> None:
    os.kill(program["pid"], signal.SIGKILL)


def ready_again(stack: Stack, name: str, pid: int) -> dict[str, Any] | None:
    status = stack.status()
    found = [
        one
        for one in [*status["components"], *status["replicas"]]
        if one["id"] == name and one["state"] == "ready" and one["pid"] != pid
    ]
    return found[0] if found else None


def test_slots_change_under_load_and_survive_restarts(tmp_path: Path, artefact: Path) -> None:
    with running(
        tmp_path,
        artefact,
        slots={"per_replica": INITIAL, "max": MAX},
        device={"simulated": True, "light_seconds": DEVICE_SECONDS},
        autoscaler={"enabled": False},
        telemetry={"sample_ratio": 1},
    ) as stack:
        sent = load(stack, artefact)
        with sent.sending(clients=12):
            eventually(
                lambda: replica_metric(stack, 1, "tidegate_slots_busy") == INITIAL,
                "two are at work",
            )
            with pytest.raises(ResizeRefusedError, match=r"5 slots are outside \[1, 4\]"):
                resize(stack, 1, MAX + 1)

            assert resize(stack, 1, MAX).slots == MAX
            eventually(
                lambda: replica_metric(stack, 1, "tidegate_slots_busy") == MAX, "four are at work"
            )
            eventually(lambda: in_force(stack, MAX, 1), "all agree")
            assert limit(stack, 2) == MAX  # applies to the second replica when it starts
            assert stack.status()["slots"] == MAX

            resize(stack, 1, INITIAL)
            eventually(lambda: in_force(stack, INITIAL, 1), "all agree again")
            eventually(
                lambda: replica_metric(stack, 1, "tidegate_slots_busy") <= INITIAL,
                "the others ended",
            )
            count = len(sent.answers)
            seen = []
            while len(sent.answers) < count + 20:
                seen.append(replica_metric(stack, 1, "tidegate_slots_busy"))
            assert max(seen) <= INITIAL
        assert set(sent.answers) == {200}
        # Only requests in flight during the reduction may have waited in a replica.
        assert waits_inside(stack) <= MAX - INITIAL

        resize(stack, 2, 3)  # starts a replica at the same time
        eventually(lambda: stack.status()["ready"] == 2, "the second is ready")
        eventually(lambda: in_force(stack, 3, 1, 2), "the new one has as many")
        config = Layout(stack.settings.stack.data_dir).gateway / "haproxy.cfg"
        eventually(lambda: "default-server maxconn 3 " in config.read_text(), "it is configured")
        for name in ("gateway", "flights-1"):
            programs = [*stack.status()["components"], *stack.status()["replicas"]]
            victim = next(one for one in programs if one["id"] == name)
            kill(victim)
            eventually(partial(ready_again, stack, name, victim["pid"]), f"{name} is ready again")
            eventually(lambda: in_force(stack, 3, 1, 2), f"as before the death of {name}")
        status = " ".join(stack.run("tidegate", "status").stdout.split())
        assert "2 of 2 replicas ready (between 1 and 4), 3 slots each instead of 2" in status


def waits_inside(stack: Stack) -> int:
    """The number of requests that waited for a slot in a replica, from their spans."""
    spans = eventually(lambda: stack.search("span.name:slot.wait").hits, "spans are in the store")
    return sum(float(one["event"]["duration"]) / 1e9 > DEVICE_SECONDS / 2 for one in spans)


def test_a_load_surge_gets_more_slots_until_the_new_replicas_are_ready(
    tmp_path: Path, artefact: Path
) -> None:
    with running(
        tmp_path,
        artefact,
        slots={"per_replica": INITIAL, "max": MAX},
        slo={"latency_seconds": 1.2},
        device={"simulated": True, "light_seconds": DEVICE_SECONDS},
        autoscaler={"policy": "surge", "tick_seconds": 1},
    ) as stack:
        sent = load(stack, artefact, rate=2.0)
        with sent.sending():
            # 2/s of 0.3 s occupy 0.6 slots; 16/s occupy 4.8, which needs at least three replicas.
            eventually(lambda: len(sent.answers) > 20, "an easy time")
            sent.rate = 16.0
            # Read from the gateway: while `status` runs, the slots may already be reduced again.
            eventually(lambda: limit(stack, 1) > INITIAL, "slots are lent")
            eventually(
                lambda: (
                    (now := stack.status())["slots"] == INITIAL
                    and now["ready"] == now["desired"] > 2
                ),
                "they are given back when the replicas are ready",
            )
            eventually(lambda: in_force(stack, INITIAL, 1, 2, 3), "everywhere")
        assert set(sent.answers) == {200}
        eventually(lambda: "slots per replica again" in explain(stack), "the decisions are stored")
        explanation = explain(stack)
        assert re.search(
            r"→ \d: .*; [34] slots per replica until the new ones are ready", explanation
        )
        assert re.search(r"; 2 slots per replica again", explanation)
        table = stack.run("tidegate", "explain", "--last", "50", "--inputs").stdout
        assert re.search(r"1 × 2 → \d × [34]", table)  # noqa: RUF001
        replayed = stack.run("tidegate", "replay", str(decisions(stack, tmp_path)))
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr
        assert "each the same to the byte" in replayed.stdout
        requested = {
            (event["tidegate"]["before"], event["tidegate"]["slots"])
            for event in logged(stack, 'message:"slots changed"')
        }
        assert requested & {(2, 4), (2, 3)}


def explain(stack: Stack) -> str:
    return stack.run("tidegate", "explain", "--last", "50").stdout


def decisions(stack: Stack, folder: Path) -> Path:
    done = stack.run("tidegate", "explain", "--last", "1000", "--json")
    assert done.returncode == 0, done.stderr
    path = folder / "decisions.ndjson"
    path.write_text(done.stdout)
    return path


def logged(stack: Stack, query: str) -> list[dict[str, Any]]:
    return stack.search(query, 100).hits
