"""A whole stack around an application of one's own: by `service.app`, by a command, and a plain server."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import prometheus_queries
from support.checkout import ROOT
from support.components import IN_CI
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import LEFT_ALONE, Stack, prepared

pytestmark = pytest.mark.integration

SAMPLES = ROOT / "tests" / "support" / "samples"
NO_PROGRAM = {"TIDEGATE_SERVICE__APP": "", "TIDEGATE_REPLICAS__COMMAND": "[]"}


@dataclass(frozen=True)
class Shop:
    """A running stack around the application in the folder `code`; `program` is how it is started."""

    stack: Stack
    code: Path
    program: str

    def get(self, path: str) -> tuple[dict[str, Any], str]:
        """The answer through the gateway, and its trace id."""
        answer = self.stack.send(path)
        return answer.body, answer.headers["traceresponse"].split("-")[1]


def value(stack: Stack, series: str) -> float | None:
    return prometheus_queries.value(stack.prometheus, series)


@pytest.fixture(
    scope="module", params=["service.app", pytest.param("replicas.command", marks=IN_CI)]
)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    code = folder / "shop_app.py"
    for name in (code.name, "instrumented_shop.py"):
        shutil.copy(SAMPLES / name, folder)
    command = [
        *(sys.executable, "-m", "uvicorn", "instrumented_shop:app", "--app-dir", str(folder)),
        *("--host", "{host}", "--port", "{port}", "--log-level", "warning"),
    ]
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "service.app": (
            {"service": {"name": "shop", "app": "shop_app:app", "app_dir": str(folder)}},
            "shop_app:app",
        ),
        "replicas.command": (
            {"service": {"name": "shop"}, "replicas": {"command": command}},
            " ".join(command),
        ),
    }
    sections, program = cases[request.param]
    stack = prepared(
        folder,
        folder / "no-artefact",
        telemetry={"sample_ratio": 1},
        verify={"path": "/quote/tea"},
        **sections,
        **LEFT_ALONE,
    )
    with stack.up():
        yield Shop(stack, code, program)


def test_a_request_is_found_with_its_event_and_its_trace(shop: Shop) -> None:
    body, trace = shop.get("/quote/cake")
    assert body == {"item": "cake", "price": 400, "version": "1.0"}
    query = f"event.dataset:tidegate.request AND trace.id:{trace}"
    (event,) = eventually(lambda: shop.stack.search(query, 1).hits, "the event is in the store")
    assert event["tidegate"]["route"] == "/quote/{item}"
    assert event["service"]["node"]["name"] == "shop-1"
    shown = shop.stack.tidegate("trace", trace)
    assert shown.returncode == 0, shown.stderr
    assert "GET /quote/{item}" in shown.stdout


def test_status_shows_the_program_and_the_version_of_the_application(shop: Shop) -> None:
    status = shop.stack.status()
    assert status["program"] == shop.program
    assert [one["version"] for one in status["replicas"]] == ["1.0"]
    shown = shop.stack.tidegate("status").stdout
    assert f"replicas: {shop.program}" in " ".join(shown.split())


async def test_replicas_are_added_and_removed_with_their_slots(shop: Shop) -> None:
    await shop.stack.scale(2)
    eventually(lambda: value(shop.stack, "service:slots:now") == 4, "two replicas have four slots")
    assert value(shop.stack, "service:signal_age_seconds:now") is not None
    await shop.stack.scale(1)
    eventually(lambda: value(shop.stack, "service:slots:now") == 2, "one replica has two slots")


def test_a_killed_replica_is_replaced(shop: Shop) -> None:
    shop.stack.kill("shop-1")


def test_verify_passes_and_a_report_needs_a_named_model(shop: Shop) -> None:
    done = shop.stack.tidegate("verify", "--wait", "60")
    assert done.returncode == 0, done.stdout
    assert "/quote/tea answered with status 200" in done.stdout
    refused = shop.stack.tidegate("monitor", "report")
    assert refused.returncode == 2
    assert "there is no artefact of its model: " in refused.stderr


def test_verify_checks_the_application_that_runs_without_its_settings(shop: Shop) -> None:
    """As after `tidegate up --app shop_app:app`; the application has no GET route without a parameter."""
    done = shop.stack.tidegate("verify", "--wait", "60", **NO_PROGRAM, TIDEGATE_VERIFY__PATH="")
    assert done.returncode == 0, done.stdout
    assert "/ answered with status 404" in done.stdout
    assert "set verify.path to a request of yours" in " ".join(done.stdout.split())


def test_settings_that_the_running_stack_does_not_use_are_marked(shop: Shop) -> None:
    named = ("replicas.max", "replicas.min")
    shown = shop.stack.tidegate("settings", *named, TIDEGATE_REPLICAS__MAX="2")
    lines = [line.strip() for line in shown.stdout.splitlines()]
    assert lines.count("the running stack was started with 4") == 1
    assert sum("the running stack was started with" in line for line in lines) == 1
    assert "the running stack keeps the settings" in shown.stdout
    as_json = shop.stack.tidegate("settings", *named, "--json", TIDEGATE_REPLICAS__MAX="2")
    found = {one["name"]: one for one in map(json.loads, as_json.stdout.splitlines())}
    assert found["replicas.max"]["running"] == 4
    assert "running" not in found["replicas.min"]
    assert "running stack" not in shop.stack.tidegate("settings").stdout


def test_newer_code_is_rolled_out_under_load_without_a_failed_request(
    shop: Shop, tmp_path: Path
) -> None:
    code = shop.code
    code.write_text(code.read_text().replace('VERSION = "1.0"', 'VERSION = "2.0"'))
    sent = ("--path", "/quote/tea?seconds=0.02", "--method", "GET")
    with shop.stack.load(tmp_path, *sent, phases=constant(12, 20)) as load:
        deployed = shop.stack.tidegate("deploy", TIDEGATE_SLOTS__PER_REPLICA="4")
        summary = load.summary(120)
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert (summary["failed"], summary["method"]) == (0, "GET")
    assert "and ignores slots.per_replica (it uses 2): " in deployed.stdout
    assert shop.get("/quote/tea")[0]["version"] == "2.0"


def test_code_that_does_not_start_changes_nothing(shop: Shop) -> None:
    before, good = shop.get("/quote/tea")[0]["version"], shop.code.read_text()
    shop.code.write_text(
        good.replace("import asyncio\n", "import asyncio\n\nimport no_such_package\n")
    )
    try:
        failed = shop.stack.tidegate("deploy")
    finally:
        shop.code.write_text(good)
    assert failed.returncode == 1
    assert "no_such_package" in failed.stdout
    assert shop.get("/quote/tea")[0]["version"] == before
    assert shop.stack.status()["state"] == "ready"
    refused = shop.stack.tidegate("deploy", "artefacts/flights")
    assert refused.returncode == 2
    assert "which serves no artefact: `tidegate deploy` without a path" in refused.stderr


@IN_CI
def test_a_plain_server_scales_by_the_gateway_s_numbers(tmp_path: Path) -> None:
    """It works on a request for 0.2 s: two slots serve ten a second, so twenty-five need three replicas."""
    server = str(SAMPLES / "plain_server.py")
    stack = prepared(
        tmp_path,
        tmp_path / "no-artefact",
        replicas={"command": [sys.executable, server, "{port}"]},
        autoscaler={"tick_seconds": 1},
    )
    with stack.up():
        sent = ("--path", "/work", "--method", "GET")
        with stack.load(tmp_path, *sent, phases=constant(120, 25)):
            eventually(lambda: stack.status()["ready"] >= 3, "three replicas are ready")
            assert (value(stack, "service:slot_seconds_mean:1m") or 0) > 0
            times = ("service:latency_seconds_p95:1m", "service:slot_objective_seconds_p95:1m")

            def late() -> bool:
                return all((value(stack, series) or 0) > 0.2 for series in times)

            eventually(late, "both are above the 0.2 s of its work")
        assert stack.search("event.dataset:tidegate.request").total == 0
