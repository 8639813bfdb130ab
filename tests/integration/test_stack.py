"""The embedded stack with its real programs, driven by its commands."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import psutil
import pytest

from tidegate.resizer.client import ResizerClient
from tidegate.settings import load
from tidegate.stack.layout import Layout
from tidegate.store import open_store
from tidegate.store.base import SearchRequest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PORT, FIRST_REPLICA, MAX_REPLICAS = 21550, 21600, 3
RUNNING = 20  # the module's own stack has other ports, so much higher
NAMES = ["prometheus", "collector", "gateway", "autoscaler"]
T = TypeVar("T")


def eventually(probe: Callable[[], T | None], what: str, seconds: float = 40) -> T:
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def artefact() -> Path:
    """The flight model, trained once for this checkout."""
    folder = ROOT / "artefacts" / "flights"
    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "train", "--out", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Stack:
    """The commands, with settings of their own."""

    def __init__(self, folder: Path, artefact: Path, offset: int = 0, **variables: str) -> None:
        self.port, self.first_replica = PORT + offset, FIRST_REPLICA + offset
        # A path that no socket address holds: everything must work there too.
        self.data = folder / ("a-long-name-" * 9) / "data"
        self.env = {
            **{name: os.environ[name] for name in os.environ if not name.startswith("TIDEGATE_")},
            "TIDEGATE_MODEL__PATH": str(artefact),
            "TIDEGATE_GATEWAY__PORT": str(self.port),
            "TIDEGATE_GATEWAY__METRICS_PORT": str(self.port + 1),
            "TIDEGATE_PROMETHEUS__PORT": str(self.port + 2),
            "TIDEGATE_PROMETHEUS__SCRAPE_SECONDS": "1",
            "TIDEGATE_COLLECTOR__METRICS_PORT": str(self.port + 3),
            "TIDEGATE_AUTOSCALER__METRICS_PORT": str(self.port + 4),
            # After its first look the autoscaler leaves the number of replicas to the tests.
            "TIDEGATE_AUTOSCALER__TICK_SECONDS": "3600",
            "TIDEGATE_REPLICAS__FIRST_PORT": str(self.first_replica),
            "TIDEGATE_REPLICAS__MAX": str(MAX_REPLICAS),
            "TIDEGATE_STACK__DATA_DIR": str(self.data),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **variables,
        }

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidegate", *command],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        done = self.run("status", "--json")
        assert done.stdout, done.stderr
        return dict(json.loads(done.stdout))

    def program(self, name: str) -> dict[str, Any]:
        status = self.status()
        every = [*status["components"], *status["replicas"]]
        return next((one for one in every if one["id"] == name), {})

    def resizer(self) -> ResizerClient:
        return ResizerClient(f"unix:{self.data}/run/control.sock", timeout_seconds=5)

    @contextmanager
    def up(self) -> Iterator[None]:
        started = self.run("up", "--detach")
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            yield
        finally:
            stopped = self.run("down")
            assert stopped.returncode == 0, stopped.stdout + stopped.stderr


@pytest.fixture
def stack(tmp_path: Path, artefact: Path) -> Stack:
    return Stack(tmp_path, artefact)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"), artefact, RUNNING)
    with stack.up():
        yield stack


def get(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def test_up_detached_returns_when_everything_is_ready(running: Stack) -> None:
    status = running.status()
    assert status["state"] == "ready"
    assert [one["id"] for one in status["components"]] == NAMES
    assert {one["state"] for one in status["components"]} == {"ready"}
    assert (status["desired"], status["ready"]) == (1, 1)
    assert get(f"http://127.0.0.1:{running.port}/live") == 200
    shown = running.run("status")
    assert shown.returncode == 0
    for words in (*NAMES, "flights-1", "tidegate", "1 of 1 replicas ready"):
        assert words in shown.stdout


def test_a_second_stack_in_the_data_folder_is_told_the_pid_of_the_first(running: Stack) -> None:
    pid = running.status()["pid"]
    for command in (("up",), ("up", "--detach")):
        done = running.run(*command)
        assert done.returncode == 1
        assert f"already running in {running.data} (pid {pid})" in done.stderr


def test_doctor_finds_everything_in_order_while_the_stack_runs(running: Stack) -> None:
    done = running.run("doctor")
    assert done.returncode == 0, done.stdout
    assert "used by the stack that runs here" in done.stdout
    assert "missing" not in done.stdout


async def test_replicas_come_and_go_and_prometheus_follows(running: Stack) -> None:
    targets = running.data / "prometheus" / "targets" / "model.json"
    resizer = running.resizer()
    assert (await resizer.resize(2)).desired == 2
    await _replicas(resizer, ready=2, present=2)
    assert f"127.0.0.1:{running.first_replica + 1}" in targets.read_text()
    await resizer.resize(1)
    await _replicas(resizer, ready=1, present=1)
    assert targets.read_text().count("127.0.0.1:") == 1


async def _replicas(resizer: ResizerClient, *, ready: int, present: int) -> None:
    async with asyncio.timeout(40):
        while True:
            status = await resizer.status()
            if (status.ready, len(status.replicas)) == (ready, present):
                return
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", [*NAMES, "flights-1"])
def test_a_killed_program_is_started_again_and_that_is_an_event(running: Stack, name: str) -> None:
    before = eventually(lambda: running.program(name) or None, f"there is {name}")
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> dict[str, Any] | None:
        now = running.program(name)
        ready = now["state"] == "ready" and now["pid"] not in {None, before["pid"]}
        return now if ready and get_ok(f"http://127.0.0.1:{running.port}/ready") else None

    after = eventually(back, f"{name} is back")
    assert after["restarts"] == before["restarts"] + 1
    query = f'event.dataset:tidegate.stack AND event.action:exit AND tidegate.component:"{name}"'
    eventually(lambda: count(running, query), "its end is in the store")


def get_ok(url: str) -> bool:
    try:
        return get(url) == 200
    except OSError:
        return False


def count(stack: Stack, query: str) -> int:
    store = open_store(load(stack={"data_dir": stack.data}), read_only=True)
    try:
        return store.search(SearchRequest(query=query, size=0)).total
    finally:
        store.close()


def found_ids(stack: Stack) -> set[str]:
    store = open_store(load(stack={"data_dir": stack.data}), read_only=True)
    try:
        return {hit["event"]["id"] for hit in store.search(SearchRequest(size=10_000)).hits}
    finally:
        store.close()


def test_the_raw_output_of_each_program_is_kept(running: Stack) -> None:
    names = {path.name for path in (running.data / "run").glob("*.log")}
    assert {f"{name}.log" for name in [*NAMES, "flights-1", "supervisor"]} <= names


def test_down_delivers_every_event_and_ends_everything(stack: Stack) -> None:
    with stack.up():
        pids = [one["pid"] for one in stack.status()["components"]]
        for _ in range(20):
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/docs", timeout=10).close()
        done = stack.run("down")
        assert done.returncode == 0, done.stdout
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    lines = [
        json.loads(line)
        for path in (stack.data / "logs").glob("*.ndjson")
        for line in path.read_bytes().splitlines()
    ]
    datasets = {line["event"]["dataset"] for line in lines}
    assert {"tidegate.stack", "tidegate.access", "tidegate.request"} <= datasets
    stored = found_ids(stack)
    assert [line for line in lines if line["event"]["id"] not in stored] == []
    assert stack.run("down").returncode == 0
    stopped = stack.run("status")
    assert stopped.returncode == 3
    assert "no stack runs" in stopped.stdout
    assert json.loads(stack.run("status", "--json").stdout) == {"state": "stopped"}


async def test_down_under_load_answers_what_the_gateway_has_taken(
    tmp_path: Path, artefact: Path
) -> None:
    stack = Stack(tmp_path, artefact, TIDEGATE_DEVICE__SIMULATED="true")
    row = json.loads((artefact / "samples.ndjson").read_text().partition("\n")[0])
    body = {"instances": [row], "work": "heavy"}
    outcomes: Counter[str] = Counter()

    async def send(session: aiohttp.ClientSession) -> None:
        try:
            async with session.post(f"http://127.0.0.1:{PORT}/predict", json=body) as answer:
                await answer.read()
                outcomes[str(answer.status)] += 1
        except aiohttp.ClientConnectorError:  # after the door was closed
            outcomes["refused"] += 1

    with stack.up():
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            # 2 slots of 200 ms answer 10 a second: most of these wait in the gateway.
            for _ in range(30):
                group.create_task(send(session))
            await asyncio.sleep(0.5)
            stopped = group.create_task(asyncio.to_thread(stack.run, "down"))
            while not stopped.done():
                group.create_task(send(session))
                await asyncio.sleep(0.05)
        assert stopped.result().returncode == 0
    assert outcomes.keys() == {"200", "refused"}
    assert outcomes["200"] >= 30
    # Those taken were answered, and each left its line in the store.
    assert count(stack, "event.dataset:tidegate.request") == outcomes["200"]


def test_a_killed_supervisor_takes_everything_with_it_and_up_works_again(stack: Stack) -> None:
    with stack.up():
        status = stack.status()
        pids = [one["pid"] for one in [*status["components"], *status["replicas"]]]
        os.kill(status["pid"], signal.SIGKILL)
        eventually(
            lambda: not any(psutil.pid_exists(pid) for pid in pids) or None, "all have ended", 10
        )
        assert stack.run("status").returncode == 3
        with stack.up():
            assert stack.status()["state"] == "ready"


@contextmanager
def detaching(stack: Stack) -> Iterator[subprocess.Popen[str]]:
    """`up --detach` while it still waits."""
    with subprocess.Popen(
        [sys.executable, "-m", "tidegate", "up", "--detach"],
        cwd=ROOT,
        env=stack.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first thing that happens
        try:
            yield process
        finally:
            stack.run("down")


def test_a_start_that_is_interrupted_leaves_nothing_behind(stack: Stack) -> None:
    with detaching(stack) as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130, output
        assert stack.run("status").returncode == 3


def test_a_supervisor_that_dies_while_it_starts_is_told(stack: Stack) -> None:
    with detaching(stack) as process:
        os.kill(Layout(stack.data).holder() or 0, signal.SIGKILL)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "the supervisor ended: see " in output


def test_in_the_foreground_it_prints_lines_and_ctrl_c_stops_it(stack: Stack) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tidegate", "up"],
        cwd=ROOT,
        env=stack.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "the service answers at" in line:
                process.send_signal(signal.SIGINT)
    output = "".join(lines)
    assert process.returncode == 0, output
    assert "flights-1   started as process" in output
    assert "stops: requests are answered" in output


def test_in_a_terminal_it_draws_itself_and_a_second_ctrl_c_kills_what_lingers(
    stack: Stack,
) -> None:
    ours, theirs = pty.openpty()
    seen = bytearray()
    reader = threading.Thread(target=_read_all, args=(ours, seen))
    with subprocess.Popen(
        [sys.executable, "-m", "tidegate", "up"],
        cwd=ROOT,
        env={**stack.env, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        reader.start()
        eventually(lambda: b"Ctrl-C stops everything" in seen, "it is ready")
        collector = stack.program("collector")
        os.kill(collector["pid"], signal.SIGSTOP)  # it will not answer to SIGTERM
        process.send_signal(signal.SIGINT)
        eventually(lambda: stack.status()["state"] == "stopping", "it stops")
        process.send_signal(signal.SIGINT)
    reader.join()
    assert process.returncode == 0
    for words in (b"prometheus", b"flights-1", b"replicas ready"):
        assert words in seen


def _read_all(terminal: int, into: bytearray) -> None:
    try:
        while chunk := os.read(terminal, 65_536):
            into += chunk
    except OSError:  # Linux' way of telling the end
        return
    finally:
        os.close(terminal)


def test_taken_ports_are_named_before_anything_is_started(stack: Stack) -> None:
    with (
        socket.create_server(("127.0.0.1", PORT)),
        socket.create_server(("127.0.0.1", FIRST_REPLICA + 1)),
    ):
        done = stack.run("up", "--detach")
        doctor = stack.run("doctor")
    assert done.returncode == 1
    assert f"port {PORT} (gateway.port) is taken by process {os.getpid()}" in done.stderr
    assert f"port {FIRST_REPLICA + 1} (replicas.first_port + 1) is taken by" in done.stderr
    assert not list((stack.data / "run").glob("prometheus.log"))
    assert doctor.returncode == 1
    assert f"port {PORT} (gateway.port)" in doctor.stdout


@pytest.mark.parametrize("command", [("up", "--detach"), ("up",)])
def test_a_missing_model_is_told_with_what_to_do(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = Stack(tmp_path, tmp_path / "none").run(*command)
    assert done.returncode == 1
    assert "run `tidegate train`" in done.stdout + done.stderr


def test_a_broken_model_is_told_with_the_replicas_own_words(tmp_path: Path, artefact: Path) -> None:
    broken = tmp_path / "model"
    broken.mkdir()
    for file in artefact.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.onnx").write_bytes(b"not a model")
    done = Stack(tmp_path, broken).run("up", "--detach")
    assert done.returncode == 1
    assert "flights-1 did not become ready: ended with exit code 1" in done.stderr
    assert "model.onnx" in done.stderr


def test_a_missing_prometheus_is_told(tmp_path: Path, artefact: Path) -> None:
    stack = Stack(tmp_path, artefact, PATH="/nowhere", HOME=str(tmp_path))
    done = stack.run("up", "--detach")
    assert done.returncode == 1
    assert "there is no prometheus" in done.stderr
    doctor = stack.run("doctor")
    assert doctor.returncode == 1
    assert "prometheus" in doctor.stdout


def test_an_elasticsearch_that_does_not_answer_is_told(tmp_path: Path, artefact: Path) -> None:
    url = f"http://127.0.0.1:{PORT + 9}"
    stack = Stack(tmp_path, artefact, TIDEGATE_STORE__ELASTICSEARCH__URL=url)
    done = stack.run("up", "--detach", "--store", "elasticsearch")
    assert done.returncode == 1
    assert f"elasticsearch: {url} cannot be reached" in done.stderr


def test_an_unknown_store_is_refused(stack: Stack) -> None:
    done = stack.run("up", "--store", "paper")
    assert done.returncode == 2
    assert "take embedded or elasticsearch" in done.stderr


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path, artefact: Path) -> None:
    (tmp_path / "file").write_text("")
    stack = Stack(tmp_path, artefact, TIDEGATE_STACK__DATA_DIR=str(tmp_path / "file" / "data"))
    for command in (("up",), ("up", "--detach")):
        done = stack.run(*command)
        assert done.returncode == 1
        assert "the stack cannot start" in done.stdout + done.stderr
    assert stack.run("doctor").returncode == 1
