"""How a stack stops: by `down`, by Ctrl-C, by the death of its supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from collections import Counter
from functools import partial
from pathlib import Path

import aiohttp
import psutil
import pytest

from support.eventually import eventually, eventually_async
from support.harnesses.event_files import events_in
from support.processes.running_stack import LEFT_ALONE, Stack, prepared
from support.scrape import scrape

pytestmark = pytest.mark.integration


def test_down_delivers_every_event_and_stops_every_program(stack: Stack) -> None:
    with stack.up():
        pids = [one["pid"] for one in stack.status()["components"]]
        for _ in range(20):
            urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/docs", timeout=10).close()
        done = stack.tidegate("down")
        assert done.returncode == 0, done.stdout
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    lines = events_in(stack.data / "logs")
    datasets = {line["event"]["dataset"] for line in lines}
    assert {"tidegate.stack", "tidegate.request"} <= datasets
    stored = {hit["event"]["id"] for hit in stack.search(size=10_000).hits}
    assert [line for line in lines if line["event"]["id"] not in stored] == []
    assert stack.tidegate("down").returncode == 0
    stopped = stack.tidegate("status")
    assert stopped.returncode == 3
    assert "no stack runs" in stopped.stdout
    assert json.loads(stack.tidegate("status", "--json").stdout) == {"state": "stopped"}


async def test_down_under_load_answers_every_accepted_request(
    tmp_path: Path, artefact: Path
) -> None:
    stack = prepared(tmp_path, artefact, device={"simulated": True}, **LEFT_ALONE)
    row = json.loads((artefact / "samples.ndjson").read_text().partition("\n")[0])
    body = {"instances": [row], "work": "heavy"}
    outcomes: Counter[str] = Counter()

    async def send(session: aiohttp.ClientSession, *, closing: bool = False) -> None:
        try:
            async with session.post(f"http://127.0.0.1:{stack.port}/predict", json=body) as answer:
                await answer.read()
                outcomes[str(answer.status)] += 1
        except aiohttp.ClientOSError:
            # The listener is closed, or was closed before the connection was accepted.
            if not closing:
                raise
            outcomes["refused"] += 1

    with stack.up():
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            # 2 slots of 200 ms serve 10 requests per second: most of these wait in the gateway.
            for _ in range(30):
                group.create_task(send(session))
            # And the plug (waiting.lua).
            total = partial(scrape, stack.port + 1, "haproxy_backend_sessions_total", proxy="model")
            await eventually_async(lambda: (total() or 0) > 30, "all have arrived")
            stopped = group.create_task(asyncio.to_thread(stack.tidegate, "down"))
            while not stopped.done():
                group.create_task(send(session, closing=True))
                await asyncio.sleep(0.05)
        assert stopped.result().returncode == 0
    assert outcomes.keys() == {"200", "refused"}
    assert outcomes["200"] >= 30
    # The accepted requests were answered, and their events are in the store.
    assert stack.search("event.dataset:tidegate.request").total == outcomes["200"]


def test_the_programs_die_with_a_killed_supervisor_and_up_works_again(stack: Stack) -> None:
    with stack.up():
        status = stack.status()
        pids = [one["pid"] for one in [*status["components"], *status["replicas"]]]
        os.kill(status["pid"], signal.SIGKILL)
        eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), "all have ended")
        assert stack.tidegate("status").returncode == 3
        with stack.up():
            assert stack.status()["state"] == "ready"


def test_in_the_foreground_up_prints_lines_and_ctrl_c_stops_it_even_without_a_reader(
    stack: Stack,
) -> None:
    with stack.start("up") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "the service answers at" in line:
                process.send_signal(signal.SIGINT)
            elif "stopping: finishing requests" in line:
                break
        # Ctrl-C also ends the `head` of `tidegate up | head`: later output has no reader.
        process.stdout.close()
    output = "".join(lines)
    assert process.returncode == 0, output
    assert "flights-1   started as process" in output
    assert "stopping: finishing requests" in output
    assert stack.tidegate("status").returncode == 3


def test_a_second_ctrl_c_kills_the_programs(stack: Stack) -> None:
    with stack.start("up") as process:
        assert process.stdout is not None
        assert any("Ctrl-C stops everything" in line for line in process.stdout)
        collector = stack.program("collector")
        os.kill(collector["pid"], signal.SIGSTOP)  # it will not react to SIGTERM
        process.send_signal(signal.SIGINT)
        eventually(lambda: stack.status()["state"] == "stopping", "it stops")
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0
