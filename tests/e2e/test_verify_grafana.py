"""`tidegate verify` finds data in each panel of Grafana after the first requests, and names an empty one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from support.components import IN_CI
from support.doubles.aiohttp_server import serving
from support.grafana_dashboards import dashboards, elasticsearch_search, fill
from support.ports import free_port
from support.processes.exporter_process import exporting, logstash
from support.processes.running_stack import Stack, running
from tidegate.checks.running import gateway, grafana
from tidegate.checks.running.run import run_checks
from tidegate.checks.running.target import Target
from tidegate.runtime.check_results import Result
from tidegate.settings import Settings

# Plain `make test` has each finding in tests/unit/checks/running/test_grafana.py, each query in
# test_dashboards.py.
pytestmark = [pytest.mark.e2e, IN_CI]

SHOWN_SECONDS: Final = 900
"""The dashboards' default time range."""
# What the data source for Prometheus fills in, for a step of five seconds.
BUILT_IN: Final = {
    "__rate_interval": "15s",
    "__interval": "5s",
    "__range": f"{SHOWN_SECONDS}s",
    "__range_s": str(SHOWN_SECONDS),
}


@dataclass(frozen=True)
class GrafanaDouble:
    """The parts of Grafana's API that `tidegate verify` uses."""

    prometheus: str
    elasticsearch: str

    def app(self) -> web.Application:
        """The application; one server for all components of a stack."""
        app = web.Application()
        app.router.add_get("/api/health", self._health)
        app.router.add_get("/api/dashboards/uid/{uid}", self._dashboard)
        app.router.add_post("/api/ds/query", self._query)
        source = "/api/datasources/uid/{uid}"
        app.router.add_get(f"{source}/health", self._source_health)
        app.router.add_get(f"{source}/resources/api/v1/{{path:.*}}", self._prometheus_resource)
        app.router.add_post(f"{source}/resources/_msearch", self._elasticsearch_resource)
        return app

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"database": "ok", "version": "13.2.3", "commit": "abc"})

    async def _source_health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "OK", "message": "works"})

    async def _dashboard(self, request: web.Request) -> web.Response:
        by_uid = {one["uid"]: one for one in dashboards().values()}
        return web.json_response({"dashboard": by_uid[request.match_info["uid"]], "meta": {}})

    async def _prometheus_resource(self, request: web.Request) -> web.Response:
        path = f"{request.match_info['path']}?{request.query_string}"
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.prometheus}/api/v1/{path}") as response,
        ):
            return web.Response(body=await response.read(), status=response.status)

    async def _elasticsearch_resource(self, request: web.Request) -> web.Response:
        headers = {"Content-Type": request.headers["Content-Type"]}
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.elasticsearch}/_msearch", data=await request.read(), headers=headers
            ) as response,
        ):
            return web.Response(body=await response.read(), status=response.status)

    async def _query(self, request: web.Request) -> web.Response:
        (query,) = (await request.json())["queries"]
        prometheus = query["datasource"]["type"] == "prometheus"
        async with aiohttp.ClientSession() as session:
            run = self._from_prometheus if prometheus else self._from_elasticsearch
            result = await run(session, query)
        status = 400 if "error" in result else 200
        results = {query["refId"]: {"status": status, **result}}
        return web.json_response({"results": results}, status=status)

    async def _from_prometheus(
        self, session: aiohttp.ClientSession, query: dict[str, Any]
    ) -> dict[str, Any]:
        now = time.time()
        parameters = {"query": fill(query["expr"], BUILT_IN)}
        if query.get("instant"):
            path, parameters = "query", {**parameters, "time": str(now)}
        else:
            path = "query_range"
            span = {"start": str(now - SHOWN_SECONDS), "end": str(now), "step": "5"}
            parameters |= span
        url = f"{self.prometheus}/api/v1/{path}"
        async with session.post(url, data=parameters) as response:
            answer = await response.json()
        if answer["status"] != "success":
            return {"error": answer["error"]}
        frames = []
        for series in answer["data"]["result"]:
            samples = series.get("values") or [series["value"]]
            numbers = [float(text) for _, text in samples]
            column = [number if math.isfinite(number) else None for number in numbers]
            frames.append(frame([at for at, _ in samples], column))
        return {"frames": frames}

    async def _from_elasticsearch(
        self, session: aiohttp.ClientSession, query: dict[str, Any]
    ) -> dict[str, Any]:
        now = time.time()
        index = f"{query['datasource']['uid'].removeprefix('elasticsearch-')}-tidegate.*-*"
        body = elasticsearch_search(query, now - SHOWN_SECONDS, now)
        url = f"{self.elasticsearch}/{index}/_search"
        async with session.post(url, json=body) as response:
            answer = await response.json()
        if "error" in answer:
            return {"error": answer["error"]["root_cause"][0]["reason"]}
        if not query["bucketAggs"]:
            hits = answer["hits"]["hits"]
            return {
                "frames": [frame([hit["sort"][0] for hit in hits], [hit["_id"] for hit in hits])]
            }
        (metric,) = query["metrics"]
        terms, points = (each["id"] for each in query["bucketAggs"])
        frames = []
        for bucket in answer.get("aggregations", {}).get(terms, {}).get("buckets", ()):
            series = bucket[points]["buckets"]
            column = [
                each["doc_count"] if metric["type"] == "count" else percentile(each[metric["id"]])
                for each in series
            ]
            frames.append(frame([each["key"] for each in series], column))
        return {"frames": frames}


def percentile(result: dict[str, Any]) -> float | None:
    """The only percentile of a result; None if no event has the field."""
    (value,) = result["values"].values()
    return None if value is None else float(value)


def frame(times: list[Any], values: list[Any]) -> dict[str, Any]:
    """A data frame of one series."""
    return {"schema": {}, "data": {"values": [times, values]}}


NAMESPACE = "verified"
SLOWEST_RULES_SECONDS = 150
"""Rules are evaluated every minute at the latest, and some read what others recorded."""


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, artefact: Path, elasticsearch_url: str
) -> Iterator[Stack]:
    """A stack that received the first requests, and nothing else."""
    folder = tmp_path_factory.mktemp("verify")
    with (
        logstash() as logstash_url,
        running(
            folder,
            artefact,
            store={"kind": "elasticsearch", "elasticsearch": {"url": elasticsearch_url}},
            service={"namespace": NAMESPACE},
            exporter={"port": free_port(), "logstash_url": logstash_url},
        ) as stack,
        exporting(stack),
    ):
        sent = stack.run("tidegate", "setup", "first-requests", "--url", stack.url)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        yield stack


@pytest.fixture(scope="module")
def grafana_url(stack: Stack) -> Iterator[str]:
    url = stack.settings.store.elasticsearch.url
    with serving(GrafanaDouble(stack.prometheus, url).app()) as served:
        yield served


async def verified(
    stack: Stack, url: str, wait_seconds: float, namespace: str = NAMESPACE
) -> dict[str, Result]:
    sections = stack.settings.model_dump()
    sections["verify"]["grafana_url"] = url
    sections["service"]["namespace"] = namespace
    settings = Settings.model_validate(sections)
    async with aiohttp.ClientSession() as session:
        target = Target(settings, session, stack.url, stack.prometheus, None)
        await gateway.check(target)  # as in `tidegate verify`: its request is in the time range
        results = await run_checks(target, wait_seconds, checks={"Grafana": grafana.check})
    return {one.name: one for one in results["Grafana"]}


async def test_each_panel_that_must_have_data_has_some_after_the_first_requests(
    stack: Stack, grafana_url: str
) -> None:
    results = await verified(stack, grafana_url, SLOWEST_RULES_SECONDS)
    problems = {name: one.details for name, one in results.items() if one.state != "ok"}
    assert problems == {}


async def test_the_namespace_of_another_stack_is_not_offered(
    stack: Stack, grafana_url: str
) -> None:
    results = await verified(stack, grafana_url, 0, namespace="other")
    text = f"the variable Namespace offers {NAMESPACE}, and not other"
    for name in ("service", "scaling", "pipeline", "model"):
        assert text in results[f"dashboard {name}"].details
