"""The distributions of a model: ordered by drift, with their bins in order."""

from __future__ import annotations

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.console.pages.model import PREDICTIONS, read_distributions
from tidegate.runtime.prometheus import Prometheus


def sample(name: str, value: str, **labels: str) -> dict[str, object]:
    metric = {"__name__": f"model:{name}", "model": "m", "version": "v", **labels}
    return {"metric": metric, "value": [1, value]}


RESULT = [
    sample("feature_psi:5m", "0.3", feature="small"),
    sample("feature_psi:5m", "0.2", feature="temp"),
    sample("feature_drift:5m", "0.2", feature="temp"),
    sample("feature_psi:5m", "0.05", feature="hour"),
    sample("feature_drift:5m", "0.05", feature="hour"),
    sample("prediction_psi:5m", "0.01"),
    sample("prediction_ratio:5m", "0.4", label="late"),
    *(sample("feature_ratio:5m", "0.5", feature="temp", bin=name) for name in ("10", "2", "none")),
    sample("feature_reference_ratio:now", "0.25", feature="temp", bin="2"),
]


async def test_significant_drift_comes_first_and_few_rows_are_no_drift() -> None:
    async def query(request: web.Request) -> web.Response:
        assert "ratio:5m" in request.query["query"]
        return web.json_response({"status": "success", "data": {"result": RESULT}})

    app = web.Application()
    app.router.add_get("/api/v1/query", query)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        prometheus = Prometheus(session, str(server.make_url("")))
        found = await read_distributions(prometheus, "5m", 0.1, with_bins=True)
    assert [(one.name, one.drifted) for one in found] == [
        ("temp", True),
        ("small", False),  # its index is larger, but not significant
        ("hour", False),
        (PREDICTIONS, False),
    ]
    assert (found[0].bins, found[0].largest) == (["2", "10", "none"], 0.5)
