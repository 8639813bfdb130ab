"""`tidegate loadgen` against a real server: exit codes and files."""

from __future__ import annotations

import asyncio
import csv
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.doubles.tcp_server import speaking
from support.eventually import eventually_async
from support.ports import free_port

pytestmark = pytest.mark.integration

WAIT_SECONDS = 60.0
ROWS = "".join(f'{{"row": {number}}}\n' for number in range(40))


@dataclass
class Target:
    """A service of a few milliseconds."""

    port: int = field(default_factory=free_port)
    bodies: list[Any] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)
    keys: set[tuple[str, ...]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_get("/ready", self._ready)
        app.router.add_post("/predict", self._predict)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _ready(self, request: web.Request) -> web.Response:
        self.paths.add(request.path)
        return web.Response(text="ready")

    async def _predict(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.keys.add(tuple(request.headers.getall("X-Key", ())))
        await asyncio.sleep(0.005)
        trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        return web.json_response({}, headers={"traceresponse": trace})


@dataclass
class Workspace:
    """A folder with a scenario, rows and runs."""

    folder: Path

    def scenario(self, rate: int, seconds: int) -> Path:
        path = self.folder / "scenario.toml"
        path.write_text(
            f'name = "test"\narrivals = "poisson"\n'
            f'phases = [{{ kind = "constant", seconds = {seconds}, rate = {rate} }}]\n'
        )
        return path

    async def start(self, scenario: Path | str, *options: str) -> asyncio.subprocess.Process:
        (self.folder / "rows.ndjson").write_text(ROWS)
        return await started(
            *("-m", "tidegate.loadgen", "run", str(scenario)),
            *("--rows", str(self.folder / "rows.ndjson"), "--out", str(self.folder / "runs")),
            *options,
        )

    async def run(self, scenario: Path | str, *options: str) -> tuple[int, str]:
        """The exit code and everything printed."""
        return await ended(await self.start(scenario, *options))

    @property
    def latest(self) -> Path:
        return self.folder / "runs" / "latest"

    def summary(self) -> dict[str, Any]:
        return dict(json.loads((self.latest / "summary.json").read_text()))


async def started(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=pipe, stderr=pipe
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(WAIT_SECONDS * 2):
        out, errors = await process.communicate()
    assert b"Traceback" not in errors, errors.decode()
    assert process.returncode is not None
    return process.returncode, out.decode() + errors.decode()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    await made.start()
    yield made
    await made.stop()


def good_or_late(code: int, summary: dict[str, Any], good: int = 0) -> bool:
    """Whether the code is the one for this summary: 98 instead of 0 on a machine too busy to send on time."""
    return code == (good if summary["valid"] or good else 98)


async def test_a_run_writes_figures_plots_and_a_report(
    workspace: Workspace, target: Target
) -> None:
    code, shown = await workspace.run(
        *(workspace.scenario(40, 3), "--url", target.url),
        *("--slo", "0.5", "--threshold", "failed<=0"),
    )
    summary = workspace.summary()
    assert good_or_late(code, summary), shown
    assert (summary["planned"], summary["sent"], summary["answered"]) == (120, 120, 120)
    assert summary["failed"] == 0
    assert summary["replicas_min"] is summary["replicas_max"] is None
    assert summary["thresholds"][0]["passed"]
    assert len(target.bodies) == 120
    sizes = {body["work"]: len(body["instances"]) for body in target.bodies}
    assert sizes == {"light": 1, "medium": 32, "heavy": 256}
    assert target.paths == {"/ready"}

    with (workspace.latest / "requests.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 120
    assert len({line["trace_id"] for line in lines}) == 120
    assert all(float(line["response_s"]) >= float(line["service_s"]) for line in lines)
    assert {path.name for path in workspace.latest.iterdir()} == {
        *("report.html", "requests.csv", "series.json", "signals.csv", "summary.json"),
        "overview.png",
    }
    assert "planned 120/120  sent 120  answered 120  failed 0" in shown
    assert str(workspace.folder / "runs") in shown


async def test_failures_of_a_killed_server_are_counted_and_the_run_continues(
    workspace: Workspace, target: Target
) -> None:
    process = await workspace.start(
        workspace.scenario(40, 3), "--url", target.url, "--threshold", "failed<=0"
    )
    await eventually_async(lambda: len(target.bodies) >= 40, "some were answered")
    await target.stop()
    code, shown = await ended(process)
    summary = workspace.summary()
    assert good_or_late(code, summary, 99), shown
    assert summary["sent"] == 120
    assert summary["answered"] + summary["failed"] == 120
    assert summary["failed"] > 20
    assert "connection refused" in summary["errors"]
    assert "failed   failed<=0" in shown
    assert "connection refused" in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_run_is_reported(
    workspace: Workspace, target: Target, number: signal.Signals
) -> None:
    process = await workspace.start(workspace.scenario(40, 60), "--url", target.url)
    await eventually_async(lambda: len(target.bodies) >= 20, "some were answered")
    process.send_signal(number)
    code, shown = await ended(process)
    summary = workspace.summary()
    assert code == 130, shown
    assert summary["interrupted"]
    assert not summary["valid"]
    assert summary["planned"] == 2400
    assert summary["sent"] == summary["answered"] == len(target.bodies) < 1000
    assert summary["failed"] == 0
    assert "interrupted" in (workspace.latest / "report.html").read_text()


async def test_without_a_target_nothing_is_sent_and_no_folder_is_created(
    workspace: Workspace,
) -> None:
    code, shown = await workspace.run(
        workspace.scenario(40, 1), "--url", f"http://127.0.0.1:{free_port()}"
    )
    assert code == 2
    assert "does not respond: nothing listens on this port" in shown
    assert "ssl:" not in shown
    assert "nothing was sent" in shown
    assert len(shown.strip().splitlines()) == 1
    assert not (workspace.folder / "runs").exists()


async def test_a_useless_prometheus_is_reported_once_and_gives_the_terminal_no_orders(
    workspace: Workspace, target: Target
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 \x1b]0;owned\x07\r\nContent-Length: 0\r\n\r\n")

    async with speaking(refuse) as port:
        code, shown = await workspace.run(
            *(workspace.scenario(20, 1), "--url", target.url),
            *("--prometheus", f"http://127.0.0.1:{port}"),
        )
    summary = workspace.summary()
    assert good_or_late(code, summary), shown
    assert shown.count("the report does not contain replicas and queue") == 1
    assert summary["replicas_max"] is None
    assert r"\x1b]0;owned" in shown
    assert "\x1b" not in shown


async def test_routes_have_figures_and_thresholds_of_their_own_and_their_responses_are_checked(
    workspace: Workspace, target: Target
) -> None:
    scenario = workspace.folder / "routes.toml"
    scenario.write_text(
        """
name = "two"
phases = [{ kind = "constant", seconds = 1, rate = 40 }]

[[routes]]
name = "predict"
method = "POST"
path = "/predict"
body = ['{"n": 1}', '{"n": 2}']
headers = { x-key = "own" }
checks = ["status==200", "json==[]"]

[[routes]]
name = "missing"
path = "/missing"
checks = ["status==404"]
"""
    )
    code, shown = await workspace.run(
        *(scenario, "--url", target.url, "--max-lag", "10s", "--header", "X-Key: secret"),
        *("--threshold", "missing.failed<=0", "--threshold", "predict.failed<=0"),
    )
    summary = workspace.summary()
    assert code == 99, shown
    kinds = summary["by_kind"]
    assert kinds["missing"]["failed"] == 0 < kinds["missing"]["answered"]
    assert kinds["predict"]["failed"] == kinds["predict"]["sent"] > 0
    assert list(summary["errors"]) == ["check json==[]"]
    assert [one["passed"] for one in summary["thresholds"]] == [True, False]
    assert {body["n"] for body in target.bodies} == {1, 2}
    assert target.keys == {("own",)}
    assert "secret" not in (workspace.latest / "summary.json").read_text()


async def test_a_url_and_a_rate_suffice(workspace: Workspace, target: Target) -> None:
    body = workspace.folder / "body.json"
    body.write_text("[3]")
    code, shown = await workspace.run(
        *(f"{target.url}/predict", "--rate", "20", "--duration", "1s", "--max-lag", "10s"),
        *("--body", str(body)),
    )
    assert code == 0, shown
    assert workspace.summary()["sent"] == 20
    assert target.bodies == [[3]] * 20
