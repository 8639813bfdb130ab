"""The distributions of a model: ordered by drift, with their bins in order."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import httpx
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from tidegate.console.app import create_app
from tidegate.console.pages.model import PREDICTIONS, Distribution, read_distributions
from tidegate.console.sources import Sources
from tidegate.runtime.event_log import APP, EventLog
from tidegate.runtime.prometheus import Prometheus
from tidegate.settings import Settings


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
    *(
        sample("feature_ratio:5m", "0.5", feature="temp", bin=name)
        for name in ("10", "2", "over", "missing", "under", "0")
    ),
    sample("feature_reference_ratio:now", "0.25", feature="temp", bin="2"),
    {
        "metric": {"model": "m", "version": "v", "feature": "temp", "bin": "2", "range": "-3 to 4"},
        "value": [1, "1"],
    },
]


@asynccontextmanager
async def prometheus_with(result: Sequence[object]) -> AsyncIterator[Prometheus]:
    """A Prometheus with this result of the query for drift."""

    async def query(request: web.Request) -> web.Response:
        found = result if "(psi|" in request.query["query"] else []
        return web.json_response({"status": "success", "data": {"result": found}})

    async with answering(query) as url, aiohttp.ClientSession() as session:
        yield Prometheus(session, url)


async def test_significant_drift_comes_first_and_few_rows_are_no_drift() -> None:
    async with prometheus_with(RESULT) as prometheus:
        found = await read_distributions(prometheus, "5m", 0.1)
    assert [(one.name, one.drifted) for one in found] == [
        ("temp", True),
        ("small", False),  # its index is larger, but not significant
        ("hour", False),
        (PREDICTIONS, False),
    ]
    temp = found[0]
    assert temp.bins == ["under", "0", "2", "10", "over", "missing"]
    assert [temp.shown(one) for one in temp.bins] == [
        *("under -3", "0", "-3 to 4", "10", "over 4", "missing")
    ]


def test_a_bin_is_shown_with_its_edge_and_what_the_rows_drifted_to_is_named() -> None:
    then = {"under": 0.0, "8 to 9": 0.5, "9": 0.25, "9 to 15": 0.25, "over": 0.0}
    words = Distribution("m", "words", 3.0, 500, reference=then, current={"over": 0.9, "9": 0.1})
    assert [words.shown(one) for one in words.bins] == [
        "under 8",
        "8 to 9",
        "9",
        "9 to 15",
        "over 15",
    ]
    assert max(words.bars, key=lambda bar: bar.gain) == ("over 15", 0.0, 0.9)
    channels = Distribution("m", "channel", 0.5, reference={"over": 0.5}, current={"web": 0.5})
    assert [channels.shown(one) for one in channels.bins] == ["over", "web"]


@pytest.mark.usefixtures("store")
async def test_the_versions_are_in_order_of_their_names_however_much_they_drift(
    sources: Sources, settings: Settings
) -> None:
    names = [("desk", "2"), ("Flights", "1"), ("desk", "1")]
    drifts = [
        sample(f"feature_{kind}:5m", f"0.{index}", feature="hour", model=model, version=version)
        for kind in ("psi", "drift")
        for index, (model, version) in enumerate(names)
    ]
    event_log = EventLog.to_files(settings, "console", APP)
    async with prometheus_with(drifts) as prometheus:
        app, _ = create_app(replace(sources, prometheus=prometheus), event_log)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            page = (await client.get("/model")).text
    assert re.findall(r"Drift of (\w+ \d)", page) == ["Flights 1", "desk 1", "desk 2"]
