"""`tidegate doctor` starts one replica of a command, and names what it does not offer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.components import IN_CI
from tidegate.checks.replica import replica_checks
from tidegate.runtime.check_results import Result
from tidegate.settings import Settings

pytestmark = pytest.mark.integration

SAMPLES = ROOT / "tests" / "support" / "samples"
# Answers 200 at any path, finishes no request at SIGTERM, and with the argument `stays` ignores it.
RUDE = """
import http.server, signal, sys, time
if sys.argv[2:] == ["stays"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(30)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


async def checks(
    folder: Path, *command: str, path: str = "/", **replicas: float
) -> dict[str, Result]:
    settings = Settings(
        replicas={"command": command, **replicas},
        verify={"path": path},
        stack={"data_dir": folder / "data"},
    )
    found = {check.name: check for check in await replica_checks(settings, folder)}
    assert not (folder / "data").exists(), "the data folder of the stack was touched"
    return found


def states(found: dict[str, Result]) -> dict[str, str]:
    return {name.removeprefix("replica").strip(): check.state for name, check in found.items()}


async def test_an_instrumented_application_lacks_only_slots(tmp_path: Path) -> None:
    found = await checks(
        tmp_path,
        *(sys.executable, "-m", "uvicorn", "instrumented_shop:app", "--app-dir", str(SAMPLES)),
        *("--host", "{host}", "--port", "{port}"),
        path="/quote/tea?seconds=1",
    )
    ok = dict.fromkeys(("", "readiness", "latency", "events", "stop"), "ok")
    assert states(found) == {**ok, "slots": "warn", "slot time": "warn"}
    assert found["replica stop"].text.endswith("and finished the request in progress")
    assert "no tidegate_slots and no tidegate_slots_busy" in found["replica slots"].text


@IN_CI
async def test_the_gaps_of_a_plain_server_are_named(tmp_path: Path) -> None:
    server = str(SAMPLES / "plain_server.py")
    found = await checks(tmp_path, sys.executable, server, "{port}")
    ok = dict.fromkeys(("", "readiness", "stop"), "ok")
    assert states(found) == {**ok, "metrics": "warn", "events": "warn"}
    assert found["replica metrics"].text.startswith("GET /metrics answers 404: the autoscaler uses")
    assert "call instrument(app) of tidegate.telemetry" in found["replica events"].text


@IN_CI
async def test_a_server_that_drops_requests_or_ignores_sigterm_is_named(tmp_path: Path) -> None:
    command = (sys.executable, "-c", RUDE.replace("{", "{{").replace("}", "}}"), "{port}")
    dropped = await checks(tmp_path, *command, path="/slow")
    assert dropped["replica readiness"].state == "warn"
    assert dropped["replica stop"].state == "failed"
    assert "without finishing the request in progress" in dropped["replica stop"].text
    stays = await checks(tmp_path, *command, "stays", drain_seconds=0.5)
    assert "it does not end within 0.5 s (replicas.drain_seconds) after SIGTERM" in (
        stays["replica stop"].text
    )


# Stays ready after SIGTERM, until its request has finished.
STAYS_READY = """
import http.server, os, signal, sys, time
ending = []
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(2)
        self.send_response(200 if self.path in ("/slow", "/ready") else 404)
        self.end_headers()
        if ending and self.path == "/slow":
            os._exit(0)
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


async def test_a_server_that_stays_ready_after_sigterm_is_named(tmp_path: Path) -> None:
    code = STAYS_READY.replace("{", "{{").replace("}", "}}")
    found = await checks(tmp_path, sys.executable, "-c", code, "{port}", path="/slow")
    assert found["replica stop"].state == "warn"
    assert "/ready still answers 200 after SIGTERM" in found["replica stop"].text


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import sys; sys.exit('no licence')", "ended with exit code 1"),
        ("import time; time.sleep(60)", "nothing answers at /ready after 1 s"),
    ],
)
async def test_a_replica_that_never_becomes_ready_fails_with_its_output(
    code: str, why: str, tmp_path: Path
) -> None:
    found = await checks(tmp_path, sys.executable, "-c", code, "{port}", start_seconds=1.0)
    assert states(found) == {"": "failed"}
    assert why in found["replica"].text
    assert ("no licence" in found["replica"].text) == ("licence" in code)


async def test_the_model_service_is_not_started(tmp_path: Path) -> None:
    assert await replica_checks(Settings(stack={"data_dir": tmp_path / "data"}), tmp_path) == []
