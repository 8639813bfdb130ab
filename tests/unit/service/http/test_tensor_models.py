"""Models of tensors: nested lists in `/predict`, tensors in the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest
from onnx import TensorProto, helper

from support.harnesses.served_app import Serve, Served
from support.samples.served_models import (
    graph_of,
    write_artefact,
    write_image_classifier,
    write_tensor_model,
)
from tidegate.monitoring.counting.reference import Reference
from tidegate.provision.request_example import example_row
from tidegate.service.model.tensor_spec import TensorSpec

INFER = "/v2/models/scene/infer"
IMAGE = [[0.5, 1.0, 1.5], [3, 4, 5]]
ROW: dict[str, Any] = {"image": IMAGE, "tokens": [1, 2, 3], "name": "Zürich", "flag": [True]}


@pytest.fixture
async def serve_scene(serve: Serve, scene: Path) -> AsyncIterator[Served]:
    """A service of the model of tensors."""
    async with serve(model=scene) as served:
        yield served


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "scene"
    write_tensor_model(folder)
    return folder


async def predict(served: Served, *rows: Any, status: int = 200) -> dict[str, Any]:
    response = await served.client.post("/predict", json={"instances": list(rows)})
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_nested_lists_become_tensors_and_outputs_nested_lists(
    serve: Serve, scene: Path
) -> None:
    other = {"image": [[0, 0, 0], [9, 9, 9]], "tokens": [4, 5, 6], "name": "", "flag": [False]}
    async with serve(model=scene) as served:
        body = await predict(served, ROW, other)
        (event,) = served.events()
    assert [one["values"] for one in body["predictions"]] == [
        {"mean": [1, 4], "doubled": [2, 4, 6], "same_name": "Zürich", "not_flag": [False]},
        {"mean": [0, 9], "doubled": [8, 10, 12], "same_name": "", "not_flag": [True]},
    ]
    assert all(list(one) == ["values"] for one in body["predictions"])
    assert event["tidegate"]["rows"] == 2
    assert "prediction" not in event["tidegate"]


async def test_rows_are_counted_from_the_first_scrape_on(serve: Serve, scene: Path) -> None:
    async with serve(model=scene) as served:
        before = (await served.client.get("/metrics")).text
        await predict(served, ROW, ROW)
        after = (await served.client.get("/metrics")).text
    version = f'model="scene",version="{served.service.model().manifest.version}"'
    series = f'tidegate_predictions_total{{label="values",{version}}}'
    assert f"{series} 0.0" in before
    assert f"{series} 2.0" in after


async def test_no_label_is_defined_for_named_outputs(serve: Serve, scene: Path) -> None:
    outcome = {"prediction_id": "x", "label": 1}
    requested = {"inputs": tensors(ROW), "outputs": [{"name": "prediction_id"}]}
    async with serve(model=scene) as served:
        response = await served.client.post("/feedback", json={"outcomes": [outcome]})
        ids = await served.client.post(INFER, json=requested)
        document = (await served.client.get("/openapi.json")).json()
    assert response.status_code == 404
    assert "for which no true label is defined" in response.json()["detail"][0]["msg"]
    assert ids.status_code == 400
    assert "outputs are mean, doubled, same_name, not_flag; got" in ids.json()["error"]
    assert "/feedback" not in document["paths"]


def tensors(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Instances as input tensors in JSON."""
    types = {"image": "FP32", "tokens": "INT64", "name": "BYTES", "flag": "BOOL"}
    found = []
    for name, datatype in types.items():
        array = np.array([row[name] for row in rows], dtype=object)
        data = [row[name] for row in rows]
        found.append({"name": name, "datatype": datatype, "shape": list(array.shape), "data": data})
    return found


async def test_the_protocol_takes_and_answers_the_tensors_of_the_graph(
    serve: Serve, scene: Path
) -> None:
    async with serve(model=scene) as served:
        metadata = (await served.client.get("/v2/models/scene")).json()
        response = await served.client.post(INFER, json={"inputs": tensors(ROW, ROW)})
    assert metadata["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 2, 3]},
        {"name": "tokens", "datatype": "INT64", "shape": [-1, -1]},
        {"name": "name", "datatype": "BYTES", "shape": [-1]},
        {"name": "flag", "datatype": "BOOL", "shape": [-1, 1]},
    ]
    assert [output["shape"] for output in metadata["outputs"]] == [[-1, 2], [-1, -1], [-1], [-1, 1]]
    outputs = {output["name"]: output for output in response.json()["outputs"]}
    assert outputs["mean"]["data"] == [1, 4, 1, 4]
    assert outputs["doubled"]["shape"] == [2, 3]
    assert outputs["same_name"]["data"] == ["Zürich", "Zürich"]
    assert outputs["not_flag"]["data"] == [False, False]


FP32 = "FP32 of shape [2, 3]"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, f"image: Input should be {FP32}, got null"),
        ({"image": []}, f"image: Input should be {FP32}, got shape [0]"),
        ({"image": [[1, 2, 3]]}, f"image: Input should be {FP32}, got shape [1, 3]"),
        ({"image": [[1, 2, 3], [4, 5]]}, "got lists of different lengths"),
        ({"image": [[1, 2, 3], 4]}, "got values among lists"),
        ({"image": [[1, 2, "3"], [4, 5, 6]]}, f"image: Input should be {FP32}, got '3'"),
        ({"image": [[1, 2, True], [4, 5, 6]]}, f"image: Input should be {FP32}, got true"),
        ({"image": [[1, 2, 1e39], [4, 5, 6]]}, "got 1e+39, beyond ±3.4028e+38"),
        ({"tokens": []}, "tokens: Input should be INT64 of shape [any], got shape [0]"),
        ({"tokens": [1.5]}, "tokens: Input should be INT64 of shape [any], got 1.5, which is not"),
        ({"tokens": [2**63]}, "got 9223372036854775808, outside -9223372036854775808 … 92"),
        ({"name": 1}, "name: Input should be one BYTES value, got 1"),
        ({"flag": [1]}, "flag: Input should be BOOL of shape [1], got 1"),
        ({"colour": 1}, "colour: Unknown input; expected image, tokens, name, flag"),
    ],
)
async def test_the_error_of_an_instance_names_the_input_and_what_it_should_be(
    serve_scene: Served, change: dict[str, Any], message: str
) -> None:
    body = await predict(serve_scene, ROW, ROW | change, status=422)
    (detail,) = body["detail"]
    assert detail["loc"][:3] == ["body", "instances", 1]
    assert message in f"{detail['loc'][3]}: {detail['msg']}"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{}], "Field required: FP32 of shape [2, 3]"),
        ([[1, 2]], "Input should be an object"),
        ([ROW, ROW | {"tokens": [1]}], "need the same shape: [3] in the first, got [1]"),
        ([], "at least one instance"),
        ([ROW] * 4097, "At most 4096 instances"),
    ],
)
async def test_instances_that_do_not_belong_together_are_refused(
    serve_scene: Served, rows: list[Any], message: str
) -> None:
    body = await predict(serve_scene, *rows, status=422)
    assert message in body["detail"][0]["msg"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datatype": "FP64"}, "inputs.image: datatype should be FP32, got FP64"),
        ({"shape": [1, 2], "data": [0] * 2}, "shape should be [-1, 2, 3], got [1, 2]"),
        ({"shape": [1, 3, 2]}, "inputs.image: shape should be [-1, 2, 3], got [1, 3, 2]"),
        ({"shape": [1] * 9}, "inputs.0.shape: List should have at most 8 items"),
        ({"data": [1, 2]}, "shape [1, 2, 3] needs 6 values, got 2"),
        ({"data": [1, 2, 3, 4, 5, "6"]}, "data should be FP32 values, got '6'"),
        ({"data": [[[[1, 2, 3], [4, 5, 6]]]]}, "needs 6 values, got 2"),
        ({"shape": [2, 2, 3], "data": [0] * 12}, "all inputs need the same number of rows"),
        ({"name": "picture"}, "inputs.picture: Unknown input; expected one of image, tokens"),
        ({"name": "tokens"}, "two inputs have the same name"),
    ],
)
async def test_the_error_of_a_tensor_names_the_input_and_what_it_should_be(
    serve_scene: Served, change: dict[str, Any], message: str
) -> None:
    image, *others = tensors(ROW)
    response = await serve_scene.client.post(INFER, json={"inputs": [image | change, *others]})
    assert response.status_code in {400, 422}
    assert message in response.json()["error"]


async def test_a_missing_tensor_is_refused_by_name(serve_scene: Served) -> None:
    response = await serve_scene.client.post(INFER, json={"inputs": tensors(ROW)[1:]})
    assert response.status_code == 422
    assert response.json() == {"error": "inputs.image: Field required: FP32 of shape [-1, 2, 3]"}


@pytest.mark.parametrize("route", ["/predict", INFER])
async def test_outputs_that_exceed_the_bound_are_refused(
    serve: Serve, scene: Path, route: str
) -> None:
    rows = [ROW | {"tokens": list(range(8000))}] * 9
    body = {"instances": rows} if route == "/predict" else {"inputs": tensors(*rows)}
    async with serve(model=scene) as served:
        refused = await served.client.post(route, json=body)
        body |= {"outputs": [{"name": "mean"}]} if route == INFER else {"instances": rows[:8]}
        accepted = await served.client.post(route, json=body)
    assert refused.status_code == 422
    assert "at most 65536 are returned in one response: send fewer rows" in refused.text
    assert accepted.status_code == 200, accepted.text


async def test_a_graph_of_one_row_at_a_time_serves_batches(serve: Serve, tmp_path: Path) -> None:
    write_image_classifier(tmp_path / "model", rows=1)
    images = [{"image": [[9, 0, 0], [0, 0, 0]]}, {"image": [[0, 0, 0], [0, 0, 9]]}]
    async with serve(model=tmp_path / "model") as served:
        body = await predict(served, *images)
        metadata = (await served.client.get("/v2/models/colours")).json()
        ids = [one["prediction_id"] for one in body["predictions"]]
        outcomes = [{"prediction_id": each, "label": "red"} for each in ids]
        report = (await served.client.post("/feedback", json={"outcomes": outcomes})).json()
    assert [one["label"] for one in body["predictions"]] == ["red", "blue"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 2, 3]}]
    assert report["accepted"] == 2


async def test_sizes_that_the_graph_cannot_run_are_an_error_of_the_request(
    serve: Serve, tmp_path: Path
) -> None:
    tokens = TensorSpec(name="tokens", datatype="INT64", shape=(-1, -1))
    total = TensorSpec(name="total", datatype="INT64", shape=(-1, 3))
    three = helper.make_tensor("three", TensorProto.INT64, [3], [1, 2, 3])
    graph = graph_of(
        [helper.make_node("Add", ["tokens", "three"], ["total"])], [tokens], [total], [three]
    )
    signature = {"task": "values", "input": "tensors", "tensors": (tokens,), "outputs": (total,)}
    write_artefact(
        tmp_path / "model", graph, [], Reference(samples=0, features=()), name="sum", **signature
    )
    async with serve(model=tmp_path / "model") as served:
        body = await predict(served, {"tokens": [1, 1, 1]})
        refused = await predict(served, {"tokens": [1, 1]}, status=422)
        (_, event) = served.events()
    assert body["predictions"] == [{"values": {"total": [2, 3, 4]}}]
    assert refused["detail"][0]["loc"] == ["inputs"]
    assert "The model cannot run on these tensors: " in refused["detail"][0]["msg"]
    assert event["error"]["type"] == "model_input"


async def test_the_document_describes_the_tensors(serve: Serve, scene: Path) -> None:
    async with serve(model=scene) as served:
        document = (await served.client.get("/openapi.json")).json()
        page = (await served.client.get("/docs")).text
        body = await predict(served, ROW)
        operation = document["paths"]["/predict"]["post"]
        request = operation["requestBody"]["content"]["application/json"]["schema"]
        example = document["components"]["schemas"]["Request"]["examples"][0]
        await predict(served, *example["instances"])
    components = {"components": document["components"]}
    assert example["instances"] == [served.service.model().example]
    jsonschema.validate({"instances": [ROW]}, {**request, **components})
    response = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(body, {**response, **components})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"instances": [ROW | {"image": [[1, 2]]}]}, {**request, **components})
    assert "A tiny image" in page
    assert "FP32 of shape [2, 3]" in page


async def test_a_large_input_is_documented_without_an_example(serve: Serve, tmp_path: Path) -> None:
    write_image_classifier(tmp_path / "model", size=1000)
    async with serve(model=tmp_path / "model") as served:
        document = (await served.client.get("/openapi.json")).json()
        page = (await served.client.get("/docs")).text
    assert "examples" not in document["components"]["schemas"]["Request"]
    assert len(page) < 20_000
    assert np.shape(example_row(orjson.dumps(document), "")["image"]) == (1000, 3)
