"""The Open Inference Protocol in JSON and with binary tensors."""

from __future__ import annotations

import gzip
import math
import zlib
from typing import Any

import numpy as np
import orjson
import pytest

from support.harnesses.served_app import Serve, Served
from support.request_errors import says
from support.samples.flight_requests import INFER, tensors
from tidegate.service.http.v2_codec import HEADER_LENGTH
from tidegate.service.http.v2_tensors import pack
from tidegate.service.model.features import Feature, Schema
from tidegate.service.model.inputs.matrix import INPUTS, columns_of
from tidegate.service.model.tensor_spec import Tensor
from tidegate.service.request_errors import RequestError


async def infer(served: Served, status: int = 200, **request: Any) -> dict[str, Any]:
    response = await served.client.post(INFER, json=request)
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_tensors_have_the_same_predictions_as_instances(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        plain = (await served.client.post("/predict", json={"instances": samples[:40]})).json()
        found = await infer(served, id="abc", inputs=tensors(samples[:40]))
    assert (found["id"], found["model_name"]) == ("abc", "flights")
    assert found["parameters"] == {"device": "cpu", "work": "heavy"}
    label, probability, probabilities = found["outputs"]
    assert label["data"] == [row["label"] for row in plain["predictions"]]
    expected = [row["probability"] for row in plain["predictions"]]
    assert probability["data"] == pytest.approx(expected, abs=1e-6)
    assert (label["datatype"], probabilities["shape"]) == ("BYTES", [40, 2])
    assert np.sum(probabilities["data"]) == pytest.approx(40, abs=1e-3)


async def test_only_the_requested_outputs_are_returned_each_in_its_own_form(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        found = await infer(
            served,
            inputs=tensors(samples[:2]),
            parameters={"binary_data_output": True},
            outputs=[{"name": "label", "parameters": {"binary_data": False}}],
        )
    (label,) = found["outputs"]
    assert (label["name"], len(label["data"])) == ("label", 2)


async def test_requested_prediction_ids_are_returned_and_accept_labels(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        plain = await infer(served, inputs=tensors(samples[:2]))
        with_ids = await infer(
            served,
            inputs=tensors(samples[:2]),
            outputs=[{"name": "label"}, {"name": "prediction_id"}],
        )
        label, ids = with_ids["outputs"]
        outcomes = [
            {"prediction_id": prediction_id, "label": label["data"][row]}
            for row, prediction_id in enumerate(ids["data"])
        ]
        response = await served.client.post("/feedback", json={"outcomes": outcomes})
        requests = [e for e in served.events() if e["tidegate"]["route"] != "/feedback"]
        outcome_events = served.events("outcome")
    names = [output["name"] for output in plain["outputs"]]
    assert names == ["label", "probability", "probabilities"]  # as the protocol defines them
    assert (ids["datatype"], ids["shape"]) == ("BYTES", [2])
    assert response.json() == {"accepted": 2, "refused": 0, "detail": []}
    assert [event["trace"]["id"] for event in outcome_events] == [requests[-1]["trace"]["id"]] * 2
    assert [event["tidegate"]["outcome"]["row"] for event in outcome_events] == [0, 1]
    assert all(event["tidegate"]["outcome"]["correct"] for event in outcome_events)


async def test_binary_tensors_are_accepted_and_returned(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    inputs, raw = [], b""
    for tensor in tensors(samples[:3]):
        blob = pack(tensor.pop("data"), tensor["datatype"])
        inputs.append(tensor | {"parameters": {"binary_data_size": len(blob)}})
        raw += blob
    head = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    async with serve() as served:
        response = await served.client.post(
            INFER, content=head + raw, headers={HEADER_LENGTH: str(len(head))}
        )
        plain = await infer(served, inputs=tensors(samples[:3]))
    assert response.headers["content-type"] == "application/octet-stream"
    length = int(response.headers[HEADER_LENGTH])
    outputs = orjson.loads(response.content[:length])["outputs"]
    sizes = [output["parameters"]["binary_data_size"] for output in outputs]
    assert sum(sizes) == len(response.content) - length
    probability = np.frombuffer(response.content, "<f4", 3, length + sizes[0])
    assert probability.tolist() == pytest.approx(plain["outputs"][1]["data"])


@pytest.mark.parametrize(
    ("encoding", "decode"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)]
)
async def test_a_response_is_compressed_only_if_the_client_accepts_nothing_else(
    serve: Serve, samples: list[dict[str, Any]], encoding: str, decode: Any
) -> None:
    async with serve() as served:
        request = served.client.build_request(
            "POST",
            INFER,
            json={"inputs": tensors(samples[:1])},
            headers={"accept-encoding": encoding},
        )
        response = await served.client.send(request, stream=True)
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
        request.headers["accept-encoding"] = f"{encoding};q=1, br"
        plain = await served.client.send(request)
    assert "content-encoding" not in plain.headers
    assert response.headers["content-encoding"] == encoding
    assert orjson.loads(decode(raw))["model_name"] == "flights"


async def test_nan_in_a_tensor_is_a_missing_value(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    row = samples[0] | {"wind_dir": None}
    async with serve() as served:
        null = await infer(served, inputs=tensors([row]))
        absent = await infer(
            served, inputs=[tensor for tensor in tensors([row]) if tensor["name"] != "wind_dir"]
        )
    assert null["outputs"] == absent["outputs"]


@pytest.mark.parametrize(
    ("change", "message", "recorded"),
    [
        ({"outputs": [{}]}, "outputs.0.name: Field required", "outputs.0"),
        ({"parameters": {"work": "huge"}}, "parameters.work: Input should be", "parameters"),
        (
            {"outputs": [{"name": "score"}]},
            "outputs: outputs are label, probability, probabilities",
            "outputs",
        ),
        ({"outputs": [{"name": "label"}] * 2}, "outputs: label is named twice", "outputs"),
        (
            {"outputs": [{"name": "label", "parameters": {"classification": 2}}]},
            "outputs.0.parameters.classification: the classification extension is not supported",
            "outputs.0.parameters",
        ),
        (
            {"outputs": [{"name": "label", "parameters": {"shared_memory_region": "r"}}]},
            "outputs.0.parameters.shared_memory_region: shared memory is not supported",
            "outputs.0.parameters",
        ),
    ],
)
async def test_the_error_of_an_invalid_request_names_the_field(
    serve: Serve, samples: list[dict[str, Any]], change: dict[str, Any], message: str, recorded: str
) -> None:
    async with serve() as served:
        found = await infer(served, 400, **({"inputs": tensors(samples[:1])} | change))
        (event,) = served.events()
    assert found["error"].startswith(message)
    assert event["error"]["message"] == f"{recorded}: protocol"


@pytest.mark.parametrize(
    ("name", "change", "status", "message"),
    [
        ("dest", {"data": ["XXX"]}, 422, "inputs.0.dest: Unknown value 'XXX'"),
        ("dest", {"datatype": "INT64", "data": [1]}, 400, "inputs.dest: datatype should be BYTES"),
        (
            "hour",
            {"datatype": "BYTES", "data": ["5"]},
            400,
            "inputs.hour: datatype should be a number",
        ),
        ("hour", {"data": [None]}, 422, "inputs.0.hour: Input should be a number"),
        ("hour", {"data": [25]}, 422, "inputs.0.hour: Input should be at most 23"),
        ("hour", {"shape": [1, 2], "data": [1, 2]}, 400, "inputs.hour: shape should be [1, 1]"),
        ("hour", {"shape": [2], "data": [1, 2]}, 400, "same number of rows"),
        ("hour", {"name": "hours"}, 422, "inputs.hours: Unknown input; expected one of"),
        ("hour", {"name": "dest", "datatype": "BYTES", "data": ["A"]}, 400, "the same name"),
        ("hour", {"name": "features"}, 400, "inputs.features: one input for all"),
    ],
)
async def test_the_error_of_an_invalid_tensor_names_it(
    *,
    serve: Serve,
    samples: list[dict[str, Any]],
    name: str,
    change: dict[str, Any],
    status: int,
    message: str,
) -> None:
    inputs = [
        tensor | change if tensor["name"] == name else tensor for tensor in tensors(samples[:1])
    ]
    async with serve() as served:
        found = await infer(served, status, inputs=inputs)
    assert message in found["error"]


async def test_a_response_that_would_be_too_large_is_refused_before_prediction(
    serve: Serve, samples: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.service.http.response.MAX_VALUES", 100)
    inputs, few = tensors(samples[:30]), tensors(samples[:25])
    async with serve() as served:
        refused = await infer(served, 422, inputs=inputs)  # 30 · (1 + 1 + 2 classes) values
        await infer(served, inputs=few)
        await infer(served, inputs=inputs, outputs=[{"name": "label"}, {"name": "probability"}])
        assert served.service.recorder.statistics.batches == 2
    assert "30 rows of these outputs are 120 values; at most 100" in refused["error"]
    assert "send at most 25 rows" in refused["error"]


async def test_null_is_the_same_as_absent(serve: Serve, samples: list[dict[str, Any]]) -> None:
    inputs = [tensor | {"parameters": None} for tensor in tensors(samples[:1])]
    async with serve() as served:
        plain = await infer(served, inputs=tensors(samples[:1]))
        null = await infer(served, inputs=inputs, id=None, outputs=None, parameters=None)
    assert null == plain


def test_a_model_of_numbers_accepts_one_tensor_for_all_features() -> None:
    schema = Schema([Feature(name="x"), Feature(name="y", missing=True)])
    whole = Tensor("features", "FP64", (2, 2), [1.0, 2.0, 3.0, math.nan])
    matrix = schema.encode_columns(columns_of(schema, [whole]), INPUTS)
    np.testing.assert_array_equal(matrix, [[1, 2], [3, np.nan]])
    narrow = Tensor("features", "FP64", (2, 1), [1.0, 2.0])
    with pytest.raises(RequestError, check=says(r"shape should be \[rows, 2\]")):
        columns_of(schema, [narrow])


async def test_the_error_of_a_missing_tensor_names_it(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        found = await infer(served, 422, inputs=tensors(samples[:1])[1:])
    assert found["error"] == "inputs.carrier: Field required"


async def test_a_body_that_is_not_an_object_is_refused(serve: Serve) -> None:
    async with serve() as served:
        response = await served.client.post(INFER, json=[1])
    assert (response.status_code, response.json()) == (
        400,
        {"error": "body: Input should be an object"},
    )


@pytest.mark.parametrize(
    "path", ["/v2/models/cats", "/v2/models/flights/versions/0", "/v2/models/cats/ready", "/v2/x"]
)
async def test_an_unknown_model_is_a_404(serve: Serve, path: str) -> None:
    async with serve() as served:
        response = await served.client.get(path)
    assert response.status_code == 404
    assert "error" in response.json()


async def test_the_metadata_of_the_server_and_of_the_model(serve: Serve) -> None:
    async with serve() as served:

        async def get(path: str) -> Any:
            response = await served.client.get(f"/v2{path}")
            assert response.status_code == 200
            return response.json()

        server, model = await get(""), await get("/models/flights")
        version = model["versions"][0]
        assert await get(f"/models/flights/versions/{version}") == model
        config = await get("/models/flights/config")
        index = (await served.client.post("/v2/repository/index")).json()
        assert (await get("/health/live")) == {"live": True}
        for path in ("/health/ready", "/models/flights/ready"):
            assert (await get(path)) == {"ready": True}
    assert {"binary_tensor_data", "prediction_id"} <= set(server["extensions"])
    inputs = {tensor["name"]: tensor["datatype"] for tensor in model["inputs"]}
    assert (inputs["dest"], inputs["hour"], inputs["temp"]) == ("BYTES", "INT64", "FP32")
    types = {tensor["name"]: tensor["data_type"] for tensor in config["input"]}
    assert (types["dest"], types["hour"]) == ("TYPE_STRING", "TYPE_INT64")
    assert index == [{"name": "flights", "version": version, "state": "READY", "reason": ""}]


async def test_statistics_count_rows_and_requests(
    serve: Serve, samples: list[dict[str, Any]]
) -> None:
    async with serve() as served:
        await infer(served, inputs=tensors(samples[:5]))
        await infer(served, inputs=tensors(samples[:1]))
        for path in ("/v2/models/stats", "/v2/models/flights/stats"):
            (stats,) = (await served.client.get(path)).json()["model_stats"]
            assert (stats["inference_count"], stats["execution_count"]) == (6, 2)
            assert stats["inference_stats"]["success"]["ns"] > 0
            assert stats["last_inference"] > 0


async def test_before_the_model_is_loaded_nothing_is_ready(serve: Serve) -> None:
    async with serve(loaded=False) as served:
        for path in ("/v2/health/ready", "/v2/models/flights/ready", "/v2/models/flights"):
            assert (await served.client.get(path)).status_code == 503
        assert (await served.client.post("/v2/repository/index")).json() == []
