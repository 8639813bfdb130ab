"""`tidegate setup kibana`, against a double of Kibana."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from support.checkout import ROOT
from support.doubles.aiohttp_server import serving
from support.doubles.kibana import IMPORT, NEWER, FakeKibana
from tidegate.cli import app
from tidegate.observability_files.kibana import data_view_requests, saved_objects
from tidegate.provision.commands import run_job
from tidegate.provision.kibana.setup import set_up
from tidegate.settings import Settings

OBJECTS = saved_objects(Settings())


@pytest.fixture
def kibana() -> Iterator[FakeKibana]:
    fake = FakeKibana()
    with serving(fake.app()) as fake.url:
        yield fake


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    kibana: FakeKibana, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run the command; returns its exit code, its output and its errors."""
    monkeypatch.setattr("tidegate.provision.kibana.setup.POLL_SECONDS", 0.01)

    def run(**options: Any) -> tuple[int, str, str]:
        section = {"url": kibana.url, "start_seconds": 20, **options}
        settings = Settings.model_validate({"kibana": section})
        code = run_job(lambda report: set_up(settings, report))
        printed = capsys.readouterr()
        return code, printed.out, printed.err.strip()

    return run


def test_it_waits_and_then_sets_up_kibana(kibana: FakeKibana, run: Run) -> None:
    kibana.starting = 4
    code, out, err = run()
    assert (code, err) == (0, "")
    # Its own objects are replaced; other objects and a user's choice of a default stay.
    assert kibana.changes == [
        *(("/api/data_views/data_view", one) for one in data_view_requests(Settings())),
        ("/api/data_views/default", {"data_view_id": "tidegate-logs", "force": False}),
        (f"{IMPORT}?overwrite=true", OBJECTS),
    ]
    lines = out.splitlines()
    waiting = f"waiting for Kibana at {kibana.url}: "
    why = ["it responds with 503", "its status is 'unavailable'"]
    assert lines[:4] == [f"{waiting}{each}" for each in why * 2]
    assert lines[4] == f"Kibana 9.2.8 at {kibana.url} is ready"
    assert "data view Tidegate logs: logs-tidegate.*-*" in lines
    assert "search Tidegate: slow requests" in lines
    assert lines[-1] == "dashboard: /app/dashboards#/view/tidegate-overview"


@pytest.mark.parametrize(
    ("level", "ready"),
    [("available", True), ("degraded", True), ("unavailable", False), ("critical", False)],
)
def test_the_status_level_decides_whether_kibana_is_ready(
    kibana: FakeKibana, run: Run, level: str, ready: bool
) -> None:
    kibana.level = level
    assert run(start_seconds=20 if ready else 0.001)[0] == (0 if ready else 2)
    # The health check of the container agrees.
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    _, *command = services["kibana"]["healthcheck"]["test"]
    command = [part.replace("http://localhost:5601", kibana.url) for part in command]
    assert f"{kibana.url}/api/status" in command
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode == 0) is ready


@pytest.mark.parametrize("seconds", [0.001, 0.2])
def test_an_unchanged_problem_is_reported_once_before_the_time_is_over(
    kibana: FakeKibana, run: Run, seconds: float
) -> None:
    kibana.refuse["/api/status"] = 503, "License is not available."
    code, out, err = run(start_seconds=seconds)
    assert code == 2
    assert out.splitlines() == [f"waiting for Kibana at {kibana.url}: it responds with 503"]
    assert f"was not ready within {seconds} s (kibana.start_seconds): it responds with 503." in err
    assert kibana.changes == [], "nothing is changed before it is ready"


def test_it_logs_in_with_the_password_in_the_file(
    kibana: FakeKibana, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "elastic").write_text("of-elastic\n")
    kibana.login = f"Basic {b64encode(b'elastic:of-elastic').decode()}"
    assert run(password_file=tmp_path / "elastic")[0] == 0
    code, _, err = run()
    assert code == 2
    assert err.endswith("Check kibana.username and kibana.password_file")


def test_a_closed_connection_is_reported(kibana: FakeKibana, run: Run) -> None:
    kibana.drop = IMPORT
    code, _, err = run()
    assert code == 2
    assert f"Kibana at {kibana.url}/api/saved_objects/_import cannot be reached: " in err


VIEWS = "/api/data_views"
NO_BASE = "Check that kibana.url includes server.basePath, if it is set"


@pytest.mark.parametrize(
    ("path", "status", "reason", "message"),
    [
        (
            f"{VIEWS}/data_view",
            401,
            "Unauthorized",
            "Check kibana.username and kibana.password_file",
        ),
        (f"{VIEWS}/data_view", 403, "Forbidden", "kibana.username lacks `all` in Kibana's default"),
        (f"{VIEWS}/default", 500, "", "/api/data_views/default responded with status 500"),
        ("/api/status", 302, "moved", NO_BASE),
        (IMPORT, 302, "moved", NO_BASE),
        (IMPORT, 422, NEWER, f"{NEWER}. This Kibana is too old: use 9.2 or later"),
    ],
)
def test_an_error_response_is_one_sentence(
    kibana: FakeKibana, run: Run, *, path: str, status: int, reason: str, message: str
) -> None:
    kibana.refuse[path] = status, reason
    code, _, err = run()
    assert code == 2
    assert message in err
    assert reason in err
    assert len(err.splitlines()) == 1
    assert f"Kibana at {kibana.url}{path} responded with status {status}" in err


def test_each_refused_object_is_named(kibana: FakeKibana, run: Run) -> None:
    errors = [
        {"type": "search", "id": "tidegate-errors", "error": {"type": "missing_references"}},
        {"type": "dashboard", "id": "tidegate-overview", "error": {"message": NEWER}},
    ]
    kibana.import_response = {"success": False, "successCount": 5, "errors": errors}
    code, _, err = run()
    assert code == 2
    assert err.startswith(f"Kibana at {kibana.url} did not import everything: search tidegate-err")
    assert "missing_references" in err
    assert f"dashboard tidegate-overview: {{'message': '{NEWER}'}}. This Kibana is too old" in err


def test_an_import_error_without_a_reason_is_reported(kibana: FakeKibana, run: Run) -> None:
    kibana.import_response = {"success": False, "successCount": 0}
    assert run()[2].endswith("it names no object; see its log")
    kibana.import_response = {}
    assert run()[0] == 2
    kibana.import_response = {"success": True, "successCount": 3}
    assert run()[2].endswith(f"imported 3 objects of {len(OBJECTS)} without an error")


def test_the_command_returns_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_KIBANA__URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TIDEGATE_KIBANA__START_SECONDS", "0.1")
    done = CliRunner().invoke(app, ["setup", "kibana"])
    assert done.exit_code == 2
    assert done.stdout == (
        "waiting for Kibana at http://127.0.0.1:1: http://127.0.0.1:1/api/status cannot be reached:"
        " connection refused\n"
    )
    assert done.stderr.startswith("Kibana at http://127.0.0.1:1 was not ready within 0.1 s")


def test_an_invalid_file_is_reported_with_its_setting(run: Run, tmp_path: Path) -> None:
    for name in ("ca_file", "password_file"):
        code, _, err = run(**{name: tmp_path / "nowhere"})
        assert code == 2
        assert err.startswith(f"kibana.{name}: ")
