"""`annotate(gen_ai=…)`: the event, the span and the metrics of a request to a generative model."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import Response

from support.harnesses.telemetry_harness import Harness
from support.samples.asgi_apps import app_with
from tidegate.telemetry import annotate

USAGE = {"usage": {"input_tokens": 12, "output_tokens": 300}}
HUGE = {"usage": {"input_tokens": 10**400}}


async def answer(harness: Harness, *annotations: dict[str, Any]) -> None:
    async def chat(request: Request) -> Response:
        for each in annotations:
            annotate(gen_ai=each)
        return Response()

    app = app_with(chat)
    harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        await client.get("/")


def tokens(harness: Harness, suffix: str, **labels: str) -> float | None:
    return harness.registry.get_sample_value(f"gen_ai_client_token_usage_{suffix}", labels)


async def test_the_span_and_the_metrics_have_what_the_request_says(harness: Harness) -> None:
    await answer(harness, {"request": {"model": "llama"}, "stop": ["a"]}, USAGE)
    assert harness.event("request")["tidegate"]["gen_ai"]["usage"] == USAGE["usage"]
    attributes = harness.event("span")["tidegate"]["attributes"]
    assert attributes["http.request.method"] == "GET"
    assert {name: value for name, value in attributes.items() if name.startswith("gen_ai")} == {
        "gen_ai.request.model": "llama",
        "gen_ai.stop": "['a']",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 300,
    }
    for kind, count in (("input", 12), ("output", 300)):
        labels = {"gen_ai_response_model": "llama", "gen_ai_token_type": kind}
        assert tokens(harness, "sum", **labels) == count
    bucket = {"gen_ai_response_model": "llama", "gen_ai_token_type": "input", "le": "16.0"}
    assert tokens(harness, "bucket", **bucket) == 1


@pytest.mark.parametrize(
    "given",
    ["llama", {"usage": "many"}, {"usage": {"input_tokens": float("nan")}}, {1: {2: None}}, HUGE],
)
async def test_anything_else_changes_no_metric(harness: Harness, given: Any) -> None:
    await answer(harness, given)
    assert harness.event("request")["event"]["outcome"] == "success"
    assert not any(
        sample.name.startswith("gen_ai")
        for family in harness.registry.collect()
        for sample in family.samples
    )


async def test_names_that_a_client_chooses_are_bounded(harness: Harness) -> None:
    async def chat(request: Request) -> Response:
        annotate(gen_ai={"response": {"model": request.query_params["model"]}, **USAGE})
        return Response()

    app = app_with(chat)
    harness.instrument(app, sample_ratio=0)
    async with harness.client(app) as client:
        for number in range(60):
            await client.get("/", params={"model": f"m{number}"})
    other = {"gen_ai_response_model": "_OTHER", "gen_ai_token_type": "output"}
    assert tokens(harness, "count", **other) == 10


@pytest.mark.parametrize(("name", "label"), [("\ud800", "?"), ("é" * 1_000, "é" * 50)])
async def test_a_model_s_name_of_any_text_leaves_the_metrics_readable(
    harness: Harness, name: str, label: str
) -> None:
    await answer(harness, {"request": {"model": name}, **USAGE})
    assert f'gen_ai_response_model="{label}"' in generate_latest(harness.registry).decode()
