"""A predictor in Python behind the paths of the service."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually_async
from support.harnesses.served_app import Serve, Served

CODE = '''
import math
import os
import threading
from pathlib import Path

HERE = Path(__file__).parent


class Price:
    """A regressor that does what its row asks for."""

    name = "price"
    task = "regression"
    target = "price"
    features = [{"name": "x", "minimum": 0, "maximum": 100}]

    def load(self):
        if (HERE / "refuse").exists():
            raise RuntimeError("the weights are gone")
        self.factor = 2

    def predict(self, rows):
        first = rows[0]["x"]
        if first == 13:
            raise ValueError(f"cannot price {rows}")
        if first == 15:
            (HERE / f"begun-{os.getpid()}").touch()
            while not (HERE / "go").exists():
                threading.Event().wait(0.01)
        if first == 16:
            raise SystemExit(1)
        wrong = {17: [], 18: None, 19: [math.nan] * len(rows), 20: ["cheap"] * len(rows)}
        return wrong.get(first, [self.factor * row["x"] for row in rows])


class Delay:
    task = "classification"
    classes = ["late", "on_time"]

    def predict(self, rows):
        return [row["answer"] for row in rows]


class Echo:
    def predict(self, rows):
        return rows


class Objects:
    def predict(self, rows):
        return [object() for row in rows]

'''


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the module `pricing`."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "pricing.py").write_text(CODE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    (folder / "go").touch()  # a thread that still waits ends
    sys.modules.pop("pricing", None)


def serving(serve: Serve, folder: Path, name: str, slots: int = 2) -> Any:
    return serve(
        model=Path(f"pricing:{name}"),
        service={"app_dir": folder},
        slots={"per_replica": slots},
    )


async def post(served: Served, *rows: Any) -> tuple[int, dict[str, Any]]:
    response = await served.client.post("/predict", json={"instances": list(rows)})
    return response.status_code, response.json()


async def test_a_regressor_is_answered_validated_and_signed(serve: Serve, code: Path) -> None:
    async with serving(serve, code, "Price") as served:
        assert served.replica.lifecycle.phase == "ready", served.replica.lifecycle.reason
        status, body = await post(served, {"x": 1}, {"x": 2.5})
        assert (status, [one["value"] for one in body["predictions"]]) == (200, [2, 5])
        assert all(one["prediction_id"] for one in body["predictions"])
        assert body["model"]["name"] == "price"
        status, body = await post(served, {"x": 101})
        assert (status, body["detail"][0]["loc"]) == (422, ["body", "instances", 0, "x"])
        metrics = (await served.client.get("/metrics")).text
        assert "tidegate_predictions_total{label=" in metrics


FAILURES = [
    (13, "ValueError", r"predict of pricing:Price raised ValueError \(.*pricing.py:\d+\)"),
    (16, "SystemExit", "predict of pricing:Price raised SystemExit"),
    (17, "predictor_result", "returned 0 results for 1 rows; return one for each row"),
    (18, "predictor_result", "returned None, not a list with one result for each of the 1 rows"),
    (19, "predictor_result", "returned NaN for row 0, not a number that is finite"),
    (20, "predictor_result", "returned a value of type str for row 0, not a number"),
]


async def test_a_failure_is_a_500_with_a_sentence_without_the_body(
    serve: Serve, code: Path
) -> None:
    async with serving(serve, code, "Price", slots=1) as served:
        for x, kind, text in FAILURES:
            status, body = await post(served, {"x": x})
            (detail,) = body["detail"]
            assert (status, detail["type"]) == (500, kind)
            assert re.search(text, detail["msg"]), detail["msg"]
            assert "cannot price" not in json.dumps(body)
            assert (await post(served, {"x": 1}))[0] == 200
        (event,) = [e for e in served.events() if e.get("error", {}).get("type") == "ValueError"]
        assert "cannot price" not in json.dumps(event)


async def test_labels_pairs_and_dicts_are_answers_of_a_classifier(serve: Serve, code: Path) -> None:
    answers = ["late", ["on_time", 0.75], {"late": 0.9, "on_time": 0.1}]
    async with serving(serve, code, "Delay") as served:
        status, body = await post(served, *({"answer": answer} for answer in answers))
        assert status == 200, body
        assert [(one["label"], one["probability"]) for one in body["predictions"]] == [
            ("late", 1.0),
            ("on_time", 0.75),
            ("late", 0.9),
        ]
        wrong: tuple[Any, ...] = ("early", None, ["late", 2], ["late"], {}, True)
        for answer in wrong:
            status, body = await post(served, {"answer": answer})
            assert (status, body["detail"][0]["type"]) == (500, "predictor_result"), answer
            assert "early" not in body["detail"][0]["msg"]


async def test_any_json_is_answered_as_it_was_returned(serve: Serve, code: Path) -> None:
    rows = [{"a": [1, {"b": None}]}, {}, {"text": "\u00e9\n"}]
    async with serving(serve, code, "Echo") as served:
        status, body = await post(served, *rows)
        assert status == 200
        assert [one["values"] for one in body["predictions"]] == rows
        assert (await post(served, 1))[0] == 422
        response = await served.client.get("/openapi.json")
        assert response.status_code == 200
        infer = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}]}
        response = await served.client.post("/v2/models/Echo/infer", json=infer)
        assert (response.status_code, "POST them to /predict" in response.text) == (400, True)
    async with serving(serve, code, "Objects") as served:
        status, body = await post(served, {})
        assert (status, body["detail"][0]["type"]) == (500, "predictor_result")
        assert "not JSON: a value is of type object" in body["detail"][0]["msg"]


async def test_a_predictor_that_blocks_keeps_its_slot_and_nothing_else(
    serve: Serve, code: Path
) -> None:
    async with serving(serve, code, "Price") as served:
        blocked = asyncio.create_task(post(served, {"x": 15}))
        await eventually_async(lambda: any(code.glob("begun-*")))
        assert served.replica.slots.busy == 1
        for path in ("/live", "/ready"):
            assert (await served.client.get(path)).status_code == 200
        assert (await post(served, {"x": 1}))[0] == 200
        (code / "go").touch()
        assert (await blocked)[0] == 200
        assert served.replica.slots.busy == 0


async def test_a_predictor_that_cannot_load_fails_the_replica(serve: Serve, code: Path) -> None:
    (code / "refuse").touch()
    async with serving(serve, code, "Price") as served:
        assert served.replica.lifecycle.phase == "failed"
        reason = served.replica.lifecycle.reason
        assert reason.startswith("model.path: load() of pricing:Price failed: RuntimeError: the ")
        assert re.search(r"weights are gone \(.*pricing.py:\d+\)$", reason), reason
