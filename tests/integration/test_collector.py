"""The collector process under kills and failures: no event is lost or stored twice."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.ports import free_port
from support.processes.collector_process import CollectorFolder, stop
from support.store_refresh import refresh
from tidegate.collector.run import NICE
from tidegate.store import open_store
from tidegate.store.base import SearchRequest, Terms

HEAP_MAX_SIZE = 2**26
"""Of glibc on 64 bits."""


class Workspace(CollectorFolder):
    """With a namespace of its own in the store."""

    def total(self, query: str = "event.dataset:tidegate.request") -> int:
        return int(self.ask(SearchRequest(self.own(query), size=0)).total)

    def numbers(self) -> list[int]:
        """The numbers of the events in the store, sorted; each as often as it is there."""
        found = self.ask(SearchRequest(self.own("tidegate.rows:*"), size=10_000))
        return sorted(hit["tidegate"]["rows"] for hit in found.hits)

    def own(self, query: str) -> str:
        return f"({query}) AND data_stream.namespace:{self.namespace}"

    def ask(self, request: SearchRequest) -> Any:
        with closing(open_store(self.settings, read_only=True)) as store:
            refresh(store)
            return store.search(request)

    def quarantined(self) -> list[dict[str, Any]]:
        path = self.settings.stack.data_dir / "collector" / "quarantine.ndjson"
        return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def make_workspace(folder: Path, **sections: dict[str, Any]) -> Workspace:
    return Workspace(folder, sections, uuid.uuid4().hex)


@pytest.fixture(params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.integration)])
def store_section(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "embedded":
        return {"kind": "embedded"}
    url = request.getfixturevalue("elasticsearch_url")
    return {"kind": "elasticsearch", "elasticsearch": {"url": url}}


@pytest.fixture
def workspace(tmp_path: Path, store_section: dict[str, Any]) -> Iterator[Workspace]:
    made = make_workspace(tmp_path, store=store_section)
    yield made
    assert "Traceback" not in made.output.read_text()


def test_repeated_kills_lose_and_duplicate_no_event(workspace: Workspace) -> None:
    count = 6000
    writers = [workspace.writer("flights-1", 100_000), workspace.writer("flights-2", 30_000)]
    halves = [range(count // 2), range(count // 2, count)]
    writing = [
        threading.Thread(target=workspace.write, args=pair)
        for pair in zip(writers, halves, strict=True)
    ]
    for thread in writing:
        thread.start()
    chance = random.Random(7)
    for _ in range(5):
        process = workspace.start()
        eventually(lambda: workspace.metric("delivered_total") > 0, "it delivers")
        time.sleep(chance.uniform(0, 0.3))  # anywhere in a delivery
        process.kill()
        process.wait(timeout=60)
    for thread in writing:
        thread.join()
    process = workspace.start()
    # The metric too: else a process that has not begun would be stopped, as all was delivered before.
    eventually(
        lambda: workspace.metric("lag_bytes") == 0 and workspace.total() >= count,
        "everything is delivered",
    )
    assert stop(process) == 0
    assert workspace.numbers() == list(range(count))
    assert workspace.quarantined() == []


def test_a_stop_signal_delivers_the_remaining_events(workspace: Workspace) -> None:
    process = workspace.start()
    eventually(lambda: workspace.metric("sink_up") == 1, "it runs")
    process.send_signal(signal.SIGSTOP)
    writer = workspace.writer()
    workspace.write(writer, range(2000))
    writer.close()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    assert process.wait(timeout=60) == 0
    assert workspace.numbers() == list(range(2000))
    found = workspace.ask(
        SearchRequest(
            workspace.own("event.dataset:tidegate.collector"),
            aggregations={"actions": Terms("event.action")},
        )
    )
    assert {bucket.key for bucket in found.aggregations["actions"]} == {"start", "stop"}


def test_fast_rotation_with_deletion_loses_no_event(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path, collector={"keep_seconds": 0, "keep_bytes": 0})
    writer = workspace.writer(file_bytes=5000)
    process = workspace.start()

    def left() -> list[str]:
        return [path.name for path in workspace.settings.log_dir.glob("flights-1.*")]

    def delivered(more_than: int) -> bool:
        return workspace.metric("delivered_total") > more_than

    eventually(partial(delivered, 0), "it runs")
    # While it always has some batches before it, it deletes what it has delivered. Ten events fill a file.
    most, ahead, written = 0, 1000, 0
    while written < 6000:
        workspace.write(writer, range(written, written + 200))
        written += 200
        eventually(partial(delivered, written - ahead), "it delivers")
        most = max(most, len(left()))
    assert most < 200
    workspace.write(writer, range(6000, 8000))
    eventually(lambda: workspace.total() == 8000, "everything is delivered")

    eventually(lambda: len(left()) == 1, "all files but the open one are deleted")
    assert stop(process) == 0
    assert workspace.numbers() == list(range(8000))
    checkpoint = json.loads(
        (workspace.settings.stack.data_dir / "collector" / "checkpoint.json").read_text()
    )
    assert len(checkpoint["files"]) <= 2


def test_an_unavailable_store_at_the_end_is_exit_code_1_and_keeps_the_files(tmp_path: Path) -> None:
    unreachable = {"url": f"http://127.0.0.1:{free_port()}"}
    workspace = make_workspace(
        tmp_path,
        store={"kind": "elasticsearch", "elasticsearch": unreachable},
        collector={"last_pass_seconds": 0.1},
    )
    writer = workspace.writer()
    workspace.write(writer, range(5))
    process = workspace.start()
    eventually(lambda: workspace.metric("retried_total") >= 1, "it tries")
    assert stop(process) == 1
    assert "the remaining events stay in their files" in workspace.output.read_text()
    assert list(workspace.settings.log_dir.glob("flights-1.*"))
    again = make_workspace(tmp_path)
    process = again.start()
    again.namespace = workspace.namespace
    eventually(lambda: again.total() == 5, "they are delivered after all")
    assert stop(process) == 0


def test_a_collector_waits_for_a_search_that_delivers(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    lock = workspace.settings.stack.data_dir / "collector" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as search:
        fcntl.flock(search, fcntl.LOCK_EX)
        process = workspace.start()

        def waits() -> bool:
            assert process.poll() is None, workspace.output.read_text()
            return lock in [fd.readlink() for fd in Path(f"/proc/{process.pid}/fd").iterdir()]

        eventually(waits, "it has the lock's file open")
    eventually(lambda: workspace.metric("sink_up") == 1, "it runs")
    assert stop(process) == 0


def test_a_second_collector_of_the_same_folder_is_refused(tmp_path: Path) -> None:
    first, second = make_workspace(tmp_path), make_workspace(tmp_path)
    process = first.start()
    eventually(lambda: first.metric("sink_up") == 1, "the first runs")
    refused = second.start()
    assert refused.wait(timeout=60) == 2
    assert "another collector runs in" in second.output.read_text()
    assert stop(process) == 0


@pytest.mark.parametrize("own_session", [True, False])
def test_the_kernel_prefers_requests_to_each_thread_of_a_collector(
    tmp_path: Path, *, own_session: bool
) -> None:
    workspace = make_workspace(tmp_path)
    workspace.write(workspace.writer(), range(5))
    autogroup = Path("/proc/self/autogroup")
    before = autogroup.read_text() if autogroup.exists() else ""
    process = workspace.start(own_session=own_session)
    eventually(lambda: workspace.total() == 5, "the threads of its store run")
    threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
    nice = min(os.nice(0) + NICE, 19)
    assert [os.getpriority(os.PRIO_PROCESS, one) for one in threads] == [nice] * len(threads)
    if before:  # a kernel that can schedule sessions as groups
        found = Path(f"/proc/{process.pid}/autogroup").read_text()
        assert found.split()[-1] == str(NICE) if own_session else found == before
    assert stop(process) == 0


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc")
def test_the_threads_of_the_store_share_one_heap(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    process = workspace.start()
    workspace.write(workspace.writer(), range(1000))
    eventually(lambda: workspace.metric("delivered_total") >= 1000, "all are delivered")
    # A heap of its own begins at a multiple of its greatest size, most of which is not yet in use (glibc's
    # malloc/arena.c).
    maps = [line.split() for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines()]
    heaps = [
        used[0]
        for used, unused in pairwise(maps)
        if int(used[0].split("-")[0], 16) % HEAP_MAX_SIZE == 0
        and (used[1], unused[1]) == ("rw-p", "---p")
        and used[0].split("-")[1] == unused[0].split("-")[0]
    ]
    assert heaps == []
    assert stop(process) == 0
