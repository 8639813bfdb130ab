"""Applications of somebody else as processes: shut down under load, fail at the start, shadow modules."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import orjson
import pytest

from support.eventually import eventually
from support.harnesses.event_files import events_in
from support.processes.service_process import Service, served

pytestmark = pytest.mark.integration


def run_to_end(folder: Path, app: str, *options: str) -> tuple[int, str]:
    """Serve an application that cannot be served; returns the exit code and what it wrote on stderr."""
    with served(folder, app, *options) as found:
        _, errors = found.process.communicate(timeout=60)
        return found.process.returncode, errors.decode()


FASTAPI = """
import time
from contextlib import asynccontextmanager
from fastapi import FastAPI
from tidegate.serving import Loading

loading = Loading("the model")

@asynccontextmanager
async def lifespan(app):
    loading.start(lambda: 3)
    yield

app = FastAPI(lifespan=lifespan)

@app.post("/work")
def work():
    time.sleep(0.02)
    return {"cakes": 3}
"""
PLAIN = """
import asyncio

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"cake"})
"""


def test_what_is_not_http_gets_an_error_in_json(tmp_path: Path) -> None:
    (tmp_path / "cakes.py").write_text(PLAIN)
    with served(tmp_path, "cakes:app") as found:
        eventually(lambda: found.ready() == 200, "it is ready")
        with socket.create_connection(("127.0.0.1", found.port), 60) as connection:
            connection.sendall(b"no HTTP\r\n\r\n")
            with connection.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head
    assert orjson.loads(body)["detail"][0]["type"] == "malformed_request"


HEADS = """
import asyncio
import time

opened = asyncio.Event()

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    size = {"/large": 3_000_000, "/head": 3}.get(scope["path"], 5)
    headers = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/waits":
        await opened.wait()
    elif scope["path"] == "/opens":
        time.sleep(0.05)  # work between the head and the body, in one turn of the loop
        opened.set()
    await send({"type": "http.response.body", "body": memoryview(b"c" * size)})  # Starlette sends these, too
"""


def test_a_head_is_sent_with_its_body_but_never_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "cakes.py").write_text(HEADS)
    with served(tmp_path, "cakes:app") as found, ExitStack() as opened:
        eventually(lambda: found.ready() == 200, "it is ready")

        def request(line: bytes) -> socket.socket:
            to = opened.enter_context(socket.create_connection(("127.0.0.1", found.port), 60))
            to.sendall(line + b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            return to

        waits = request(b"GET /waits")
        assert waits.recv(65536).endswith(b"\r\n\r\n")
        assert request(b"GET /opens").recv(65536).endswith(b"\r\n\r\nccccc")
        assert waits.recv(65536) == b"ccccc"
        assert request(b"HEAD /head").makefile("rb").read().endswith(b"\r\n\r\n")
        assert (
            len(request(b"GET /large").makefile("rb").read().partition(b"\r\n\r\n")[2]) == 3_000_000
        )


async def send_requests(found: Service, stop: asyncio.Event, statuses: list[int]) -> None:
    """Send requests in turn on one connection, as the gateway does, until `stop` is set."""
    async with httpx.AsyncClient(base_url=found.url, timeout=60) as client:
        while not stop.is_set():
            statuses.append((await client.post("/work", content=b"{}")).status_code)


async def check_health(found: Service, failed: asyncio.Event) -> None:
    """Poll /ready as the gateway does, only more often, and set `failed` when it fails."""
    async with httpx.AsyncClient(base_url=found.url, timeout=60) as client:
        while (await client.get("/ready")).status_code == 200:  # noqa: ASYNC110 (a gateway polls, too)
            await asyncio.sleep(0.05)
    failed.set()


@pytest.mark.parametrize("text", [FASTAPI, PLAIN], ids=["fastapi", "plain"])
def test_no_request_fails_when_a_replica_shuts_down_under_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.py").write_text(text)
    statuses: list[int] = []
    with served(tmp_path, "shop:app") as found:
        eventually(lambda: found.ready() == 200, "ready")

        async def load_and_shut_down() -> None:
            stop = asyncio.Event()
            working = asyncio.gather(*(send_requests(found, stop, statuses) for _ in range(6)))
            checking = asyncio.create_task(check_health(found, stop))
            async with asyncio.timeout(60):
                while len(statuses) < 30:  # noqa: ASYNC110  another process answers
                    await asyncio.sleep(0.01)
                found.process.send_signal(signal.SIGTERM)
                await working
                await checking

        asyncio.run(load_and_shut_down())
        assert found.process.wait(60) == 0
        assert found.ready() is None
        events = found.events()
        printed = (found.process.stdout.read() if found.process.stdout else b"").decode()
    assert set(statuses) == {200}
    assert len(events) == len(statuses)
    assert all("queue_ns" in event["tidegate"] for event in events)
    assert f"shop:app listens on http://127.0.0.1:{found.port}" in printed


LIFESPAN = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from tidegate.serving import Loading

def load():
    return open("model.pt")

@asynccontextmanager
async def loads_itself(app):
    load()
    yield

@asynccontextmanager
async def loads_later(app):
    Loading("the model").start(load)
    yield

app, later = FastAPI(lifespan=loads_itself), FastAPI(lifespan=loads_later)
raise_at_import = False
"""
MISSING = "FileNotFoundError: [Errno 2] No such file or directory: 'model.pt' (shop.py:7)"


@pytest.mark.parametrize(
    ("app", "sentence"),
    [
        ("shop:app", f"shop:app: its start-up failed: {MISSING}\n"),
        ("shop:later", f"shop:later: loading the model failed: {MISSING}\n"),
        (
            "broken:app",
            "broken cannot be imported: ZeroDivisionError: division by zero (broken.py:1)\n",
        ),
    ],
)
def test_a_failure_at_the_start_is_one_sentence_and_an_event_with_its_traceback(
    tmp_path: Path, app: str, sentence: str
) -> None:
    (tmp_path / "shop.py").write_text(LIFESPAN)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    assert run_to_end(tmp_path, app) == (1, sentence)
    events = events_in(tmp_path / ".tidegate" / "logs")
    (error,) = (event["error"] for event in events if "error" in event)
    assert "Traceback" in error["stack_trace"]
    assert f'{app.partition(":")[0]}.py", line' in error["stack_trace"]


def test_a_function_that_is_no_check_of_readiness_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(f"{PLAIN}\ndef is_ready(model): ...\n")
    code, errors = run_to_end(tmp_path, "shop:app", "--ready", "shop:is_ready")
    assert code == 1
    assert errors.startswith("shop:is_ready is no function without required arguments")
    assert run_to_end(tmp_path, "shop:app", "--app-dir", "nowhere")[0] == 2


def test_no_file_of_the_application_s_folder_hides_a_module_of_ours(tmp_path: Path) -> None:
    """Each module of the standard library has a file there that fails, and the application is served."""
    for name in sys.stdlib_module_names:
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__name__} was imported')\n")
    for name in ("uvicorn", "orjson", "structlog", "prometheus_client", "pydantic", "tidegate"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(f'{__name__} was imported')\n")
    (tmp_path / "shop.py").write_text(PLAIN)
    with served(tmp_path, "shop:app") as found:
        eventually(lambda: found.ready() == 200, "ready")
        assert httpx.post(f"{found.url}/work", timeout=30).text == "cake"
        assert found.metric("tidegate_slot_seconds_count") == 1
        assert found.stop() == 0
    assert len(found.events()) == 1
