"""The service's paths: predictions, errors that name the field, probes, documentation."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import Any

import httpx
import jsonschema
import orjson
import pytest

from support.eventually import eventually_async
from support.harnesses.served_app import Serve
from support.samples.flight_requests import EXAMPLE
from tidegate.service.model.artefact import Artefact
from tidegate.service.model.features import Feature
from tidegate.service.model.inputs.feature_docs import instance_model

JSON = {"content-type": "application/json"}


async def test_each_instance_gets_a_label_and_its_probability(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        response = await served.client.post("/predict", json={"instances": samples[:3]})
    assert response.status_code == 200
    body = response.json()
    assert len(body["predictions"]) == 3
    for prediction in body["predictions"]:
        assert prediction["label"] in {"late", "on_time"}
        assert 0.5 <= prediction["probability"] <= 1
    assert body["model"] == {"name": "flights", "version": served.service.model().manifest.version}
    assert (body["work"], body["device"]) == ("medium", "cpu")
    assert body["trace_id"] == response.headers["traceresponse"].split("-")[1]


async def test_a_prediction_writes_an_event_with_its_model_rows_and_label(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        response = await served.client.post("/predict", json={"instances": samples[:1]})
        (event,) = served.events()
    fields = event["tidegate"]
    (prediction,) = response.json()["predictions"]
    assert fields["model"] == response.json()["model"]
    assert (fields["rows"], fields["work"], fields["route"]) == (1, "light", "/predict")
    assert fields["queue_ns"] >= 0
    assert fields["prediction"] == {name: prediction[name] for name in ("label", "probability")}
    assert event["trace"]["id"] == response.json()["trace_id"]
    assert event["event"]["outcome"] == "success"


@pytest.mark.parametrize(("rows", "work"), [(1, "light"), (32, "medium"), (33, "heavy")])
async def test_the_kind_of_a_request_defaults_to_its_rows(
    serve: Serve, samples: list[dict[str, Any]], rows: int, work: str
) -> None:
    async with serve() as served:
        response = await served.client.post("/predict", json={"instances": samples[:rows]})
        named = await served.client.post(
            "/predict", json={"instances": samples[:rows], "work": "heavy"}
        )
    assert response.json()["work"] == work
    assert named.json()["work"] == "heavy"
    for one, other in zip(named.json()["predictions"], response.json()["predictions"], strict=True):
        assert (one["label"], one["probability"]) == (other["label"], other["probability"])
        assert one["prediction_id"] != other["prediction_id"]


def body_of(change: dict[str, Any]) -> bytes:
    """The documented example with one value changed."""
    return orjson.dumps({"instances": [EXAMPLE | change]})


@pytest.mark.parametrize(
    ("content", "headers", "status", "loc", "kind"),
    [
        (b"not json", JSON, 400, ["body"], "json_invalid"),
        (b"[]", JSON, 422, ["body"], "dict_type"),
        (b"{}", JSON, 422, ["body", "instances"], "missing"),
        (b'{"instances":[{}],"x":1}', JSON, 422, ["body", "x"], "extra_forbidden"),
        (b'{"instances":[{}],"work":"huge"}', JSON, 422, ["body", "work"], "literal_error"),
        (body_of({"dest": "XXX"}), JSON, 422, ["body", "instances", 0, "dest"], "literal_error"),
        (
            body_of({}).replace(b"1400", b"NaN"),
            JSON,
            422,
            ["body", "instances", 0, "distance"],
            "finite_number",
        ),
        (b'{"instances":[' + b"0," * 400_000 + b"0]}", JSON, 422, ["body", "instances"], "too_long"),
        (b" " * 5_000_000, JSON, 413, ["body"], "body_too_large"),
        (body_of({}), {"content-type": "text/csv"}, 415, ["header", "content-type"], "content_type"),
    ],
)  # fmt: skip
async def test_the_error_of_an_invalid_body_names_the_field_and_writes_an_event(
    serve: Serve, *, content: bytes, headers: dict[str, str], status: int, loc: list[Any], kind: str
) -> None:
    async with serve() as served:
        response = await served.client.post("/predict", content=content, headers=headers)
        (event,) = served.events()
    assert response.status_code == status
    detail = response.json()["detail"][0]
    assert (detail["loc"], detail["type"]) == (loc, kind)
    assert event["http"]["response"]["status_code"] == status
    assert event["error"]["type"] == kind
    # "x" is a name out of the body, and so may those be at NaN.
    known = {"extra_forbidden": loc[:-1], "finite_number": loc[:1]}.get(kind, loc)
    assert event["error"]["message"].startswith(f"{'.'.join(map(str, known))}: {kind}")


async def test_an_unsupported_method_is_a_405_that_names_the_supported_one(serve: Serve) -> None:
    async with serve() as served:
        response = await served.client.get("/predict")
        (event,) = served.events()
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.json()["detail"][0]["loc"] == ["method"]
    assert event["error"]["type"] == "method_not_allowed"


async def test_predictions_are_below_the_root_path(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        statuses = []
        for root, path in (("/predict", "/predict"), ("/proxy", "/proxy/predict")):
            transport = httpx.ASGITransport(served.replica.app, root_path=root)
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                response = await client.post(path, json={"instances": samples[:1]})
            statuses.append(response.status_code)
    assert statuses == [404, 200]


@pytest.mark.parametrize("path", ["/nowhere", "/predict/", "/ready/", "/v2/"])
async def test_an_unknown_path_is_a_404_in_json_and_never_a_redirect(
    serve: Serve, path: str
) -> None:
    async with serve() as served:
        response = await served.client.post(path, json={}, headers={"host": "elsewhere"})
    assert response.status_code == 404
    assert "location" not in response.headers
    assert "not_found" in response.text or "/v2/: Not Found" in response.json()["error"]


@pytest.mark.parametrize("other", [False, True])
async def test_a_replica_serves_the_model_of_the_digest_in_its_settings_alone(
    serve: Serve, flights: Artefact, *, other: bool
) -> None:
    digest = "0123456789abcdef" if other else flights.manifest.digest
    async with serve(model_settings={"digest": digest}) as served:
        assert (await served.client.get("/ready")).status_code == (503 if other else 200)
        assert (
            f"its digest is {flights.manifest.digest}" in served.replica.lifecycle.reason
        ) == other


async def test_the_service_is_live_at_once_and_ready_when_its_model_is_loaded(
    serve: Serve,
) -> None:
    async with serve(loaded=False) as served:
        live, ready = await served.client.get("/live"), await served.client.get("/ready")
        early = await served.client.post("/predict", json={"instances": [EXAMPLE]})
        document = (await served.client.get("/openapi.json")).json()
        assert (live.status_code, ready.status_code) == (200, 503)
        assert ready.json() == {"status": "loading", "reason": "waiting for the model"}
        assert early.status_code == 503
        assert early.headers["retry-after"] == "1"
        assert "/predict" not in document["paths"]
        served.may_load.set()
        await eventually_async(lambda: served.replica.lifecycle.phase == "ready", seconds=60)
        assert (await served.client.get("/ready")).json()["model"] == "flights"


async def test_while_draining_it_serves_requests_and_closes_connections(serve: Serve) -> None:
    async with serve() as served:
        served.replica.lifecycle.drain()
        ready = await served.client.get("/ready")
        response = await served.client.post("/predict", json={"instances": [EXAMPLE]})
    assert (ready.status_code, ready.json()["status"]) == (503, "draining")
    assert response.status_code == 200
    assert response.headers["connection"] == "close"


async def test_each_documented_example_is_accepted(serve: Serve) -> None:
    async with serve() as served:
        document = (await served.client.get("/openapi.json")).json()
        examples = {
            "/predict": document["components"]["schemas"]["Request"]["examples"][0],
            "/v2/models/flights/infer": document["components"]["schemas"]["InferenceRequest"][
                "examples"
            ][0],
        }
        for path, example in examples.items():
            response = await served.client.post(path, json=example)
            assert response.status_code == 200, response.text


async def test_the_document_shows_each_feature_with_its_type_and_range(serve: Serve) -> None:
    async with serve() as served:
        document = (await served.client.get("/openapi.json")).json()
    features = document["components"]["schemas"]["Instance"]
    assert set(features["required"]) == set(EXAMPLE)
    assert not features["additionalProperties"]
    hour, temp = features["properties"]["hour"], features["properties"]["temp"]
    assert (hour["type"], hour["minimum"], hour["maximum"]) == ("integer", 0, 23)
    assert [choice["type"] for choice in temp["anyOf"]] == ["number", "null"]
    assert "[°F]" in temp["description"]
    assert "in training" in temp["description"]
    assert "IAH" in features["properties"]["dest"]["enum"]


@pytest.mark.parametrize(
    "fault", [{"hour": 24}, {"hour": None}, {"dest": "XXX"}, {"temp": "warm"}, {"seats": 1}]
)
async def test_the_schema_refuses_what_the_service_refuses(
    serve: Serve, fault: dict[str, Any]
) -> None:
    body = {"instances": [EXAMPLE | fault]}
    async with serve() as served:
        document = (await served.client.get("/openapi.json")).json()
        response = await served.client.post("/predict", json=body)
    assert response.status_code == 422
    with pytest.raises(jsonschema.ValidationError):
        check(body, {"$ref": "#/components/schemas/Request"}, document)


async def test_each_documented_path_has_a_route(serve: Serve) -> None:
    async with serve() as served:
        document = (await served.client.get("/openapi.json")).json()
        for path, operations in document["paths"].items():
            for method in operations:
                response = await served.client.request(method, path)
                assert response.status_code not in {404, 405}, path


def test_any_feature_name_can_be_documented() -> None:
    names = ["model_config", "__base__", "mean radius", "_hidden", "copy", "größe"]
    described = instance_model([Feature(name=name) for name in names]).model_json_schema()
    assert list(described["properties"]) == names


def check(body: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Validate a body with a schema of the document; OpenAPI 3.1 has JSON Schema's own dialect."""
    jsonschema.validate(body, {**schema, "components": document["components"]})


async def test_the_documentation_page_loads_nothing_and_runs_under_its_strict_policy(
    serve: Serve,
) -> None:
    async with serve() as served:
        page = await served.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /predict" in page.text
    hour = "<td>Scheduled departure, local time [h]; 5 to 23 in training</td><td>integer</td>"
    assert f"<td><code>hour</code></td>{hour}<td>0 … 23</td>" in page.text
    assert "<td>number, may be null</td><td>-130 … 150</td>" in page.text
    assert "<td>EWR, JFK, LGA</td>" in page.text
    assert "//" not in page.text.replace("http://flights", "")
    inputs, _ = page.text.split("<h2>Paths</h2>")
    (example,) = re.findall(r"<textarea.*?</textarea>", inputs, re.DOTALL)
    in_order = re.findall(r"<td><code>(\w+)</code>", inputs)
    assert re.findall(r"&quot;(\w+)&quot;: ", example) == ["instances", *in_order]
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"\son\w+=|style=", page.text)


async def test_an_internal_error_is_a_500_that_reveals_no_details(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as served:

        def broken(*_: object) -> None:
            raise ZeroDivisionError("secret")

        monkeypatch.setattr(served.service.model().predictor.__class__, "predict", broken)
        response: httpx.Response = await served.client.post(
            "/predict", json={"instances": [EXAMPLE]}
        )
        assert served.replica.slots.busy == 0
    assert response.status_code == 500
    assert response.json()["detail"][0]["type"] == "ZeroDivisionError"
    assert "secret" not in response.text
