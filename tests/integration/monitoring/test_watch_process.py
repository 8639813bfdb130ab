"""`tidegate monitor watch` as a process: it reads a store, reports a change, and stops on SIGTERM."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from support.harnesses.event_files import events_in
from support.ports import free_port
from tidegate.events.event import Event, Origin, make_event
from tidegate.store.embedded.store import EmbeddedStore

pytestmark = pytest.mark.integration


def outcome(number: int, *, correct: bool) -> Event:
    at_ns = time.time_ns() - (2000 - number) * 1_000_000_000
    fields = {"tidegate": {"model": {"name": "m", "version": "1"}, "outcome": {"correct": correct}}}
    origin = Origin("flights", "1", "test", "flights-1", "default")
    return make_event(origin, "outcome", "a label arrived", unix_ns=at_ns, fields=fields)


async def test_it_waits_for_a_store_and_reports_a_change_as_event_and_metric(
    tmp_path: Path,
) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "TIDEGATE_STACK__DATA_DIR": str(tmp_path),
        "TIDEGATE_DRIFT__WATCH_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidegate", "monitor", "watch", env=environment
    )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(120):
            text = ""
            # It runs without a store and a model, and with an empty store.
            while "process_cpu_seconds_total" not in text:
                await asyncio.sleep(0.2)
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                        text = await response.text()
            store = EmbeddedStore(tmp_path / "store")
            store.append([])
            store.append(
                [outcome(n, correct=bool(n % (10 if n < 500 else 3))) for n in range(1000)]
            )
            store.close()
            while 'changes_total{detector="adwin",model="m",version="1"} 0' in text or (
                "changes_total{" not in text
            ):
                await asyncio.sleep(0.2)
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                        text = await response.text()
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 60)
    assert code == 0
    events = events_in(tmp_path / "logs", "drift")
    assert events
    assert events[0]["service"]["node"]["name"] == "watch"
    assert events[0]["tidegate"]["drift"]["detector"] == "adwin"
