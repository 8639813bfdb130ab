"""`tidegate setup first-requests`, against a stand-in that takes and refuses what the service does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from support.aiohttp_server import serving
from tidegate.cli import app
from tidegate.provision.first_requests import MARK, Row, requests, send
from tidegate.provision.problems import ProvisionError
from tidegate.settings import Settings

ROW = {"hour": 5, "dest": "IAH"}
WORKS = {"light": 80, "medium": 11, "heavy": 4}


@dataclass
class StandIn:
    """A service behind its gateway: `broken` ones answer as told, not as they should."""

    url: str = ""
    example: Any = field(default_factory=lambda: dict(ROW))
    broken: int = 0
    statuses: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def app(self) -> web.Application:
        made = web.Application()
        made.router.add_get("/openapi.json", self._openapi)
        made.router.add_post("/{path}", self._post)
        return made

    async def _openapi(self, _: web.Request) -> web.Response:
        request = {"examples": [{"instances": [self.example]}]}
        return web.json_response({"components": {"schemas": {"Request": request}}})

    async def _post(self, request: web.Request) -> web.Response:
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


@pytest.fixture
def service() -> Iterator[StandIn]:
    made = StandIn()
    with serving(made.app()) as made.url:
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(stack={"data_dir": tmp_path})


def rows_file(folder: Path, *rows: Row) -> Path:
    path = folder / "rows.ndjson"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_they_are_mixed_and_too_few_rows_to_speak_of_drift() -> None:
    made = list(requests([ROW]))
    bodies = [json.loads(one.body) for one in made if one.good]
    works = [body["work"] for body in bodies]
    assert (len(made), len(bodies)) == (100, 95)
    assert {work: works.count(work) for work in set(works)} == WORKS
    rows, drift = sum(len(body["instances"]) for body in bodies), Settings().drift
    assert rows < min(drift.samples, drift.fast_samples)


def test_a_new_installation_is_sent_them_once(
    service: StandIn, settings: Settings, tmp_path: Path
) -> None:
    rows = rows_file(tmp_path, ROW, ROW | {"hour": 6})
    said: list[str] = []
    for _ in range(2):
        send(settings, service.url, rows, said.append, pause_seconds=0)
    assert len(service.statuses) == 100
    counts = {status: service.statuses.count(status) for status in set(service.statuses)}
    assert counts == {200: 95, 400: 1, 404: 1, 415: 1, 422: 2}
    assert {row["hour"] for row in service.rows} == {5, 6}
    assert said[0] == f"100 requests sent to {service.url}, with rows of {rows}"
    assert "they were sent at " in said[1]


@pytest.mark.parametrize("rows", [(), ({"alcohol": 13},)])
def test_a_model_of_other_features_gets_its_own_example(
    service: StandIn, settings: Settings, tmp_path: Path, rows: tuple[Row, ...]
) -> None:
    said: list[str] = []
    send(settings, service.url, rows_file(tmp_path, *rows), said.append, pause_seconds=0)
    assert service.rows
    assert all(row == ROW for row in service.rows)
    assert said == [f"100 requests sent to {service.url}, with the example of its model"]


@pytest.mark.parametrize(
    ("broken", "says"),
    [(503, "/predict answered 503, where 200 was"), (422, "/predict answered 422, where 200 was")],
)
def test_what_is_not_answered_as_it_must_be_is_sent_again_at_the_next_start(
    service: StandIn, settings: Settings, tmp_path: Path, broken: int, says: str
) -> None:
    service.broken = broken
    with pytest.raises(ProvisionError, match=says):
        send(settings, service.url, rows_file(tmp_path), print, pause_seconds=0)
    assert not (tmp_path / MARK).exists()


def test_a_bad_request_that_is_taken_is_a_fault(
    service: StandIn, settings: Settings, tmp_path: Path
) -> None:
    service.broken = 200
    with pytest.raises(ProvisionError, match=r"answered 200, where a 4xx was expected"):
        send(settings, service.url, rows_file(tmp_path), print, pause_seconds=0)


def test_a_document_without_an_example_is_named(
    service: StandIn, settings: Settings, tmp_path: Path
) -> None:
    service.example = None
    with pytest.raises(ProvisionError, match=r"/openapi\.json has no example"):
        send(settings, service.url, rows_file(tmp_path), print, pause_seconds=0)


def test_the_stack_starts_all_the_same_if_they_cannot_be_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path))
    done = CliRunner().invoke(app, ["setup", "first-requests", "--url", "http://127.0.0.1:1"])
    assert done.exit_code == 0
    assert "http://127.0.0.1:1 cannot be reached: " in done.stderr
    assert "the next start tries again" in done.stderr
