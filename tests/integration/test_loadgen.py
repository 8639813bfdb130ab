"""`tidegate loadgen` against a real server and a real Prometheus: exit codes and files."""

from __future__ import annotations

import asyncio
import csv
import json
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support import prometheus_queries
from support.doubles.tcp_server import speaking
from support.eventually import eventually, eventually_async
from support.ports import free_port

pytestmark = pytest.mark.integration

WAIT_SECONDS = 60.0
ROWS = "".join(f'{{"row": {number}}}\n' for number in range(40))
PROMETHEUS = """
global: {{scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: autoscaler
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
RULES = """
groups:
  - name: service
    rules:
      - {record: "service:queue:now", expr: "haproxy_backend_current_queue"}
      - {record: "service:replicas_ready:now", expr: "haproxy_backend_active_servers"}
"""


@dataclass
class Target:
    """A service of a few milliseconds, with the metrics of an autoscaler and a gateway."""

    port: int = field(default_factory=free_port)
    delay: float = 0.005
    replicas: int = 1
    queue: int = 3
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=2**24)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/predict", self._predict)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _ready(self, request: web.Request) -> web.Response:
        self.paths.add(request.path)
        return web.Response(text="ready")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            # What the autoscaler saw at its last tick is not what there is.
            text='tidegate_replicas{state="ready"} 1\n'
            f"haproxy_backend_active_servers {self.replicas}\n"
            f'tidegate_replicas{{state="desired"}} {self.replicas}\n'
            f"haproxy_backend_current_queue {self.queue}\n"
        )

    async def _predict(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        await asyncio.sleep(self.delay)
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
    """Whether the code is the one for this summary: 98 on a machine too busy to send on time."""
    return code == (good if summary["valid"] else 98)


async def test_a_run_writes_figures_plots_and_a_report_which_can_be_written_again(
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

    report = workspace.latest / "report.html"
    before = report.read_bytes()
    report.unlink()
    again = ("-m", "tidegate.loadgen", "report", str(workspace.latest))
    code, shown = await ended(await started(*again))
    assert (code, shown.strip()) == (0, str(report))
    assert report.read_bytes() == before


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


async def test_a_run_in_which_all_requests_fail_has_exit_code_1(
    workspace: Workspace, target: Target
) -> None:
    target.delay = 5
    code, shown = await workspace.run(
        workspace.scenario(20, 1), "--url", target.url, "--timeout", "0.3"
    )
    assert code == 1
    assert "failed   all requests" in shown
    assert workspace.summary()["errors"] == {"timeout": 20}


async def test_a_run_of_a_suspended_process_is_invalid_and_shows_the_lag(
    workspace: Workspace, target: Target
) -> None:
    scenario = workspace.scenario(40, 3)
    scenario.write_text(scenario.read_text() + "weights = { light = 1 }\n")
    process = await workspace.start(scenario, "--url", target.url)
    await eventually_async(lambda: len(target.bodies) >= 30, "some were answered")
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1)
    process.send_signal(signal.SIGCONT)
    code, shown = await ended(process)
    summary = workspace.summary()
    assert code == 98
    assert not summary["valid"]
    assert "invalid  requests were sent late: the p99 of the send lag is" in shown
    # About forty requests were planned in that second; counted from the plan, they waited for it.
    assert summary["response_p95_seconds"] > 0.5
    assert summary["service_p95_seconds"] < summary["response_p95_seconds"] / 2
    assert summary["sent"] == 120


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


@asynccontextmanager
async def prometheus_of(program: str, target: Target, folder: Path) -> AsyncIterator[str]:
    """A real Prometheus that scrapes the target."""
    (folder / "rules.yml").write_text(RULES)
    (folder / "prometheus.yml").write_text(PROMETHEUS.format(port=target.port))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await wait_for_series(url, "service:queue:now")
        yield url
    finally:
        process.terminate()
        await process.wait()


async def wait_for_series(url: str, name: str) -> None:
    await asyncio.to_thread(
        eventually, lambda: prometheus_queries.samples(url, name), f"Prometheus has {name}"
    )


async def test_replicas_and_queue_come_from_a_real_prometheus(
    workspace: Workspace, target: Target, prometheus_program: str
) -> None:
    async with prometheus_of(prometheus_program, target, workspace.folder) as prometheus:
        process = await workspace.start(
            *(workspace.scenario(20, 5), "--url", target.url, "--prometheus", prometheus),
            *("--threshold", "replicas_max>=3"),
        )
        await eventually_async(lambda: len(target.bodies) >= 20, "some were answered")
        target.replicas = 3
        target.queue = 0
        code, shown = await ended(process)
    summary = workspace.summary()
    assert good_or_late(code, summary), shown
    assert (summary["replicas_min"], summary["replicas_max"]) == (1, 3)
    assert "ready 3  desired 3  queue 0" in shown
    with (workspace.latest / "signals.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["signal"] for line in lines} == {"ready", "desired", "queue"}
    assert next(line["value"] for line in lines if line["signal"] == "queue") == "3"
    assert (
        "The number of ready replicas rose from 1 to 3"
        in (workspace.latest / "report.html").read_text()
    )
