"""`tidegate setup first-requests`, against a fake service with the same validation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from support.doubles.aiohttp_server import serving
from tidegate.cli import app
from tidegate.provision.errors import ProvisionError
from tidegate.provision.first_requests import MARKER, MAX_BYTES, requests, send
from tidegate.provision.request_example import Row, example_row
from tidegate.settings import Settings
from tidegate.telemetry.propagation import parse_traceparent

ROW = {"hour": 5, "dest": "IAH"}
WORKS = {"light": 80, "medium": 11, "heavy": 4}


@dataclass
class FakeService:
    """A service behind its gateway. If `broken` is set, it is the status of every response."""

    url: str = ""
    example: Any = field(default_factory=lambda: dict(ROW))
    path: str = "/predict"
    broken: int = 0
    statuses: list[int] = field(default_factory=list)
    traced: int = 0
    rows: list[Row] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/openapi.json", self._openapi)
        app.router.add_post("/{path}", self._post)
        return app

    async def _openapi(self, _: web.Request) -> web.Response:
        request = {"examples": [{"instances": [self.example]}]}
        paths: dict[str, Any] = {self.path: {}, "/docs": {}}
        return web.json_response({"paths": paths, "components": {"schemas": {"Request": request}}})

    async def _post(self, request: web.Request) -> web.Response:
        parent = parse_traceparent(request.headers.get("traceparent", "").encode())
        self.traced += parent is not None and parent.sampled
        self.statuses.append(self.broken or await self._status(request))
        return web.Response(status=self.statuses[-1])

    async def _status(self, request: web.Request) -> int:
        if request.path != "/predict":
            return 404
        if request.content_type != "application/json":
            return 415
        try:
            instances = json.loads(await request.read())["instances"]
        except ValueError:
            return 400
        if not instances or any(set(row) != set(ROW) for row in instances):
            return 422
        self.rows += instances
        return 200


@dataclass
class Installation:
    """A stack whose data folder this is, and its service."""

    folder: Path
    service: FakeService

    @property
    def rows_file(self) -> Path:
        return self.folder / "rows.ndjson"

    def send(self, *rows: Row, **sections: Any) -> list[str]:
        """Send the requests, with a file of these rows; returns what is printed."""
        self.rows_file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        lines: list[str] = []
        settings = Settings(stack={"data_dir": self.folder}, **sections)
        send(settings, self.service.url, self.rows_file, lines.append, pause_seconds=0)
        return lines


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Installation]:
    service = FakeService()
    with serving(service.app()) as service.url:
        yield Installation(tmp_path, service)


def test_the_requests_are_mixed_and_have_too_few_rows_for_a_drift_alert() -> None:
    generated = list(requests([ROW]))
    bodies = [json.loads(one.body) for one in generated if one.valid]
    works = [body["work"] for body in bodies]
    assert (len(generated), len(bodies)) == (100, 95)
    assert {work: works.count(work) for work in set(works)} == WORKS
    rows, drift = sum(len(body["instances"]) for body in bodies), Settings().drift
    assert rows < min(drift.samples, drift.fast_samples)


def test_a_new_installation_receives_the_requests_once(stack: Installation) -> None:
    (first,) = stack.send(ROW, ROW | {"hour": 6})
    (second,) = stack.send(ROW)
    assert Counter(stack.service.statuses) == {200: 95, 400: 1, 404: 1, 415: 1, 422: 2}
    assert {row["hour"] for row in stack.service.rows} == {5, 6}
    assert stack.service.traced == 5
    assert first == f"100 requests sent to {stack.service.url}, with rows of {stack.rows_file}"
    assert "the requests were sent at " in second


@pytest.mark.parametrize("rows", [(), ({"alcohol": 13},)])
def test_a_model_with_other_features_receives_its_own_example(
    stack: Installation, rows: tuple[Row, ...]
) -> None:
    lines = stack.send(*rows)
    assert stack.service.rows
    assert all(row == ROW for row in stack.service.rows)
    assert lines == [f"100 requests sent to {stack.service.url}, with the example of its model"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (503, "/predict responded with status 503"),
        (422, "/predict responded with status 422"),
        (200, "/predict accepted an invalid request"),
    ],
)
def test_after_an_unexpected_response_the_next_start_sends_the_requests_again(
    stack: Installation, broken: int, message: str
) -> None:
    stack.service.broken = broken
    with pytest.raises(ProvisionError, match=message):
        stack.send()
    assert not (stack.folder / MARKER).exists()


def test_an_application_of_ones_own_receives_no_requests(stack: Installation) -> None:
    stack.service.path = "/cakes/{name}"
    (line,) = stack.send()
    assert stack.service.statuses == []
    assert line.startswith(f"no requests sent: {stack.service.url} is an application of your own; ")
    assert not (stack.folder / MARKER).exists()


def test_an_application_of_ones_own_gets_the_request_of_the_settings(stack: Installation) -> None:
    verify = {"path": "/predict", "body": json.dumps({"instances": [ROW]})}
    sent = f"100 requests sent to {stack.service.url}, with POST /predict of verify.path"
    assert stack.send(verify=verify) == [sent]
    assert stack.service.statuses == [200] * 100
    assert stack.service.traced == 5
    stack.service.broken = 500
    (stack.folder / MARKER).unlink()
    with pytest.raises(ProvisionError, match="/predict responded with status 500"):
        stack.send(verify=verify)


def test_a_document_without_an_example_is_reported(stack: Installation) -> None:
    stack.service.example = None
    with pytest.raises(ProvisionError, match=r"/openapi\.json has no example"):
        stack.send()


def test_the_command_succeeds_if_the_requests_cannot_be_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path))
    done = CliRunner().invoke(app, ["setup", "first-requests", "--url", "http://127.0.0.1:1"])
    assert done.exit_code == 0
    assert "http://127.0.0.1:1/openapi.json cannot be reached: " in done.stderr
    assert "the next start tries again" in done.stderr


def test_long_rows_are_sent_in_smaller_requests() -> None:
    row = {"image": [0] * MAX_BYTES}
    sent = [json.loads(each.body) for each in requests([row]) if each.valid]
    assert {len(body["instances"]) for body in sent} == {1}


def test_an_example_that_is_too_long_for_the_document_is_made_from_its_schema() -> None:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
    instance = {
        "properties": {
            "image": {"type": "array", "items": numbers, "minItems": 3},
            "name": {"type": "string"},
            "flag": {"type": "boolean"},
        }
    }
    items = {"$ref": "#/components/schemas/Instance"}
    request = {"properties": {"instances": {"items": items}}}
    document = {"components": {"schemas": {"Request": request, "Instance": instance}}}
    found = example_row(json.dumps(document).encode(), "http://gateway")
    assert found == {"image": [[0, 0]] * 3, "name": "", "flag": False}


@pytest.mark.parametrize("document", ["", "[]", '{"components": {"schemas": {"Request": {}}}}'])
def test_a_document_that_describes_no_request_is_reported(document: str) -> None:
    with pytest.raises(ProvisionError, match=r"http://gateway/openapi.json has no example"):
        example_row(document.encode(), "http://gateway")
