"""The page of load tests: its runs, two of them side by side, their reports, and what it refuses to start."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering, serving
from support.eventually import eventually_async
from support.samples.load_run import recorded, summary_of
from tidegate.console.load_test import LoadTest
from tidegate.settings import Settings, load
from tidegate.stack.data_folder import Layout

ROOT = "http://127.0.0.1:8080"
FIRST, SECOND, BROKEN = (f"2026-11-29T10-0{number}-00Z" for number in range(3))


def summary(**values: Any) -> dict[str, Any]:
    """A summary as the load generator writes it."""
    known = summary_of(recorded(), scenario="seed").model_dump(mode="json")
    return {**known, "slowest": [], **values}


def write(folder: Path, name: str, **values: Any) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "summary.json").write_text(json.dumps(summary(**values)))
    (folder / name / "report.html").write_text("<style>p {}</style><p>report")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def settings(tmp_path: Path, runs: Path) -> Settings:
    return load(stack={"data_dir": tmp_path}, console={"runs_dir": runs})


async def test_without_a_run_it_says_what_to_paste(client: httpx.AsyncClient) -> None:
    page = (await client.get("/load")).text
    assert page.count("tidegate loadgen run seed --url http://127.0.0.1:8000") == 2
    assert "<form" not in page
    assert "console.control is false" in page
    changed = await client.post("/load/test", headers={"Origin": ROOT})
    assert changed.status_code == 404


async def test_it_compares_the_last_run_with_the_one_before_of_its_scenario(
    client: httpx.AsyncClient, runs: Path
) -> None:
    write(runs, FIRST, response_p95_seconds=0.2)
    write(runs, SECOND, response_p95_seconds=0.6, failed=2, duration_seconds=60.0)
    write(runs, BROKEN, scenario="steps")
    compared = (await client.get("/load", params={"run": SECOND})).text
    both = compared.split("Compare two runs")[1].split("<h2")[0]
    for text in ("missed</span>", "kept</span>", "+200%", "5.0 /s</td>", "10.0 /s</td>"):
        assert text in both
    scenario = r'<a href="/load\?run=.*\n<td>(\w+)'
    last = (await client.get("/load")).text
    assert re.findall(scenario, last) == ["steps"]
    named = (await client.get("/load", params={"with": FIRST})).text
    assert re.findall(scenario, named) == ["steps", "seed"]


async def test_an_interrupted_run_has_the_requests_it_sent_and_no_rate(
    client: httpx.AsyncClient, runs: Path
) -> None:
    write(runs, FIRST, planned=1500, sent=117, interrupted=True)
    page = (await client.get("/load")).text
    assert "1,500" not in page
    assert "3.9" not in page
    assert f'<time datetime="2026-01-02T03:04:05Z">{FIRST}</time>' in page


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Invalid JSON"),
        (json.dumps(summary(sent="many")), "sent: Input should be"),
        (json.dumps(summary(slowest=[{}])), "slowest.0.trace_id: Field required"),
    ],
)
async def test_a_summary_that_cannot_be_read_is_named(
    client: httpx.AsyncClient, runs: Path, text: str, problem: str
) -> None:
    write(runs, FIRST)
    (runs / FIRST / "summary.json").write_text(text)
    page = await client.get("/load")
    assert page.status_code == 200
    assert re.search(f"summary.json: invalid summary: .*{problem}", page.text)


async def test_a_folder_that_is_no_run_or_has_not_ended_is_left_out(
    client: httpx.AsyncClient, runs: Path
) -> None:
    write(runs, FIRST)
    (runs / SECOND).mkdir()
    (runs / BROKEN).symlink_to(runs / FIRST)
    write(runs, "<b>")
    page = (await client.get("/load")).text
    assert page.count('id="report-') == 1


async def test_a_report_has_a_policy_of_its_own_and_runs_nothing(
    client: httpx.AsyncClient, runs: Path
) -> None:
    write(runs, FIRST)
    answer = await client.get(f"/load/{FIRST}/report")
    assert answer.text.endswith("report")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    (runs / SECOND).symlink_to(runs / FIRST)
    for name in (SECOND, BROKEN, "..", "%2e%2e", "latest"):
        assert (await client.get(f"/load/{name}/report")).status_code == 404


class TestControl:
    @pytest.fixture
    def settings(self, tmp_path: Path, runs: Path) -> Settings:
        (tmp_path / "samples.ndjson").write_text("{}\n")
        return load(
            stack={"data_dir": tmp_path},
            console={"runs_dir": runs, "control": True},
            model={"path": tmp_path},
        )

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({}, "scenario: expected one of flights, seed"),
            ({"scenario": "/etc/passwd"}, "scenario: expected one of"),
        ],
    )
    async def test_it_starts_only_a_built_in_scenario(
        self, client: httpx.AsyncClient, fields: dict[str, str], problem: str
    ) -> None:
        assert "<select" in (await client.get("/load")).text
        answer = await client.post("/load/test", data=fields, headers={"Origin": ROOT})
        assert answer.status_code == 422
        assert problem in answer.text

    async def test_to_stop_what_does_not_run_is_no_event(
        self, client: httpx.AsyncClient, settings: Settings
    ) -> None:
        answer = await client.post("/load/test", data={"do": "stop"}, headers={"Origin": ROOT})
        assert answer.status_code == 303
        logs = settings.stack.data_dir.rglob("*.ndjson")
        assert not any("stopped the load test" in one.read_text() for one in logs)

    @pytest.mark.usefixtures("store")
    async def test_the_commands_send_the_rows_of_the_model(
        self, client: httpx.AsyncClient, tmp_path: Path
    ) -> None:
        for path in ("/", "/load", "/search", "/traces"):
            assert f" --rows {tmp_path}/samples.ndjson</pre>" in (await client.get(path)).text

    async def test_a_form_of_another_page_starts_nothing(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/load/test", headers={"Origin": "http://127.0.0.1:9"})
        assert answer.status_code == 403


class TestRequest:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return load(
            stack={"data_dir": tmp_path},
            console={"control": True},
            service={"app": "desk.main:app"},
            verify={"path": "/tickets", "body": "{}"},
        )

    async def test_an_application_gets_the_request_of_the_settings(
        self, client: httpx.AsyncClient
    ) -> None:
        assert "It sends POST /tickets" in (await client.get("/load")).text


class TestUnansweredRequest:
    @pytest.fixture
    def settings(self, tmp_path: Path, runs: Path) -> Iterator[Settings]:
        with serving(web.Application()) as url:
            yield load(
                stack={"data_dir": tmp_path},
                console={"control": True, "runs_dir": runs},
                service={"app": "desk.main:app"},
                gateway={"port": int(url.rpartition(":")[2])},
            )

    async def test_an_application_that_does_not_answer_it_gets_no_load(
        self, client: httpx.AsyncClient
    ) -> None:
        fields = {"scenario": "seed"}
        answer = await client.post("/load/test", data=fields, headers={"Origin": ROOT})
        assert answer.status_code == 422
        assert "404" in answer.text
        assert "set verify.path" in answer.text


class TestApplicationWithoutRoot:
    @pytest.fixture
    def asked(self) -> list[str]:
        return []

    @pytest.fixture
    def settings(self, tmp_path: Path, runs: Path, asked: list[str]) -> Iterator[Settings]:
        async def answer(request: web.Request) -> web.Response:
            asked.append(request.path)
            return web.json_response({"paths": {"/items": {"get": {}}}})

        app = web.Application()
        app.router.add_get("/openapi.json", answer)
        app.router.add_get("/items", answer)
        Layout(tmp_path).make()
        with serving(app) as url:
            yield load(
                stack={"data_dir": tmp_path},
                console={"control": True, "runs_dir": runs},
                service={"app": "desk.main:app"},
                gateway={"port": int(url.rpartition(":")[2])},
            )

    async def test_it_gets_the_route_that_verify_would_ask_for(
        self, client: httpx.AsyncClient, asked: list[str]
    ) -> None:
        async def post(**fields: str) -> int:
            sent = await client.post("/load/test", data=fields, headers={"Origin": ROOT})
            return sent.status_code

        assert await post(scenario="seed") == 303
        await eventually_async(lambda: len(asked) > 3)
        assert await post(do="stop") == 303
        assert asked == ["/openapi.json", *["/items"] * (len(asked) - 1)]


class TestAnotherMachine:
    @pytest.fixture
    def settings(self, tmp_path: Path, runs: Path) -> Settings:
        (tmp_path / "samples.ndjson").write_text("{}\n")
        return load(
            stack={"data_dir": tmp_path, "host": "192.0.2.1"},
            console={"runs_dir": runs, "control": True},
            model={"path": tmp_path},
        )

    async def test_no_other_machine_is_loaded(self, client: httpx.AsyncClient) -> None:
        assert "stack.host is 192.0.2.1" in (await client.get("/load")).text
        answer = await client.post(
            "/load/test", data={"scenario": "seed"}, headers={"Origin": ROOT}
        )
        assert answer.status_code == 422


async def test_of_two_clicks_one_starts_a_test(tmp_path: Path, runs: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response()

    async with answering(answer) as url:
        settings = load(
            stack={"data_dir": tmp_path},
            console={"control": True, "runs_dir": runs},
            service={"app": "desk.main:app"},
            gateway={"port": int(url.rpartition(":")[2])},
            verify={"path": "/"},
        )
        Layout(tmp_path).run.mkdir(parents=True)
        test = LoadTest(settings)
        clicks = (test.start("seed"), test.start("seed"))
        started = await asyncio.gather(*clicks, return_exceptions=True)
        assert await test.stop()
    [refused] = [one for one in started if one]
    assert str(refused) == "one runs already"
