"""A Grafana without its pages: it runs queries on a real Prometheus and a real Elasticsearch.

The shapes are those of grafana/grafana 13 and its data sources: pkg/api/ds_query.go (a failed query has
status 400 and still has `results`), data/frame_json.go of grafana-plugin-sdk-go (columns of values, NaN
and infinity as null), pkg/elasticsearch/elasticsearch.go of grafana-elasticsearch-datasource (resources).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiohttp import web

from support.grafana_dashboards import dashboards, elasticsearch_search, fill

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
