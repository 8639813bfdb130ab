"""The signature of a model: complete for its task and its input."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tidegate.service.model.signature import Signature, Target

FEATURES = [{"name": "x"}]
IMAGE = {"name": "image", "datatype": "FP32", "shape": [-1, 28, 28]}
BOXES = {"name": "boxes", "datatype": "FP32", "shape": [-1, -1, 4]}


@pytest.mark.parametrize(
    "fields",
    [
        {"features": FEATURES, "classes": [0, 1]},
        {"features": FEATURES, "classes": [0, 1], "input": "columns", "output": "probabilities"},
        {"task": "regression", "features": FEATURES},
        {"task": "regression", "features": FEATURES, "target": {"name": "price", "unit": "EUR"}},
        {"task": "regression", "input": "tensors", "tensors": [IMAGE]},
        {"classes": ["cat", "dog"], "input": "tensors", "tensors": [IMAGE]},
        {"task": "values", "input": "tensors", "tensors": [IMAGE], "outputs": [BOXES]},
        {
            "task": "regression",
            "input": "rows",
            "runtime": "python",
            "predictor": "shop.model:Price",
        },
        {
            "task": "regression",
            "input": "rows",
            "features": FEATURES,
            "runtime": "python",
            "predictor": "shop:Price",
        },
    ],
)
def test_a_complete_signature_is_accepted(fields: dict[str, Any]) -> None:
    signature = Signature.model_validate(fields)
    assert Signature.model_validate_json(signature.model_dump_json()) == signature


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": FEATURES}, "the task classification needs `classes`"),
        ({"features": FEATURES, "classes": ["yes"]}, "needs at least two classes"),
        ({"features": FEATURES, "classes": [1, "1"]}, "two classes have the same name"),
        ({"features": FEATURES * 2, "classes": [0, 1]}, "two features have the same name"),
        ({"task": "regression", "features": FEATURES, "classes": [0, 1]}, "`classes` is for the task"),
        ({"features": FEATURES, "classes": [0, 1], "target": {}}, "`target` is for the task regression"),
        ({"task": "values", "features": FEATURES}, "the task values needs `outputs`"),
        (
            {"task": "values", "features": FEATURES, "outputs": [BOXES, BOXES]},
            "two outputs have the same name",
        ),
        ({"task": "clustering", "features": FEATURES}, "Input should be 'classification'"),
        ({"task": "regression"}, "the input `matrix` needs at least one feature"),
        ({"task": "regression", "input": "tensors"}, "needs at least one tensor"),
        (
            {"task": "regression", "features": FEATURES, "tensors": [IMAGE]},
            "the input `matrix` has features, not tensors",
        ),
        (
            {"task": "regression", "input": "tensors", "tensors": [IMAGE], "features": FEATURES},
            "the input `tensors` has tensors, not features",
        ),
        (
            {"task": "regression", "input": "tensors", "tensors": [IMAGE, IMAGE]},
            "two tensors have the same name",
        ),
        ({"task": "regression", "input": "rows"}, "`python` takes the input `rows`, and only that"),
        (
            {
                "task": "regression",
                "input": "tensors",
                "tensors": [IMAGE],
                "runtime": "python",
                "predictor": "a:B",
            },
            "`python` takes the input `rows`, and only that",
        ),
        ({"task": "regression", "features": FEATURES, "predictor": "a:B"}, "needs a predictor"),
        ({"task": "regression", "input": "rows", "runtime": "python"}, "the runtime `python` needs a"),
    ],
)  # fmt: skip
def test_an_incomplete_signature_is_refused_with_the_reason(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Signature.model_validate(fields)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([], "at least 1 item"),
        ([-1] * 9, "at most 8 items"),
        ([3, 28], "the first axis of image is the rows"),
        ([-1, 0], "the sizes of image should be 1 or more"),
        ([-1, -2], "the sizes of image should be 1 or more"),
    ],
)
def test_a_tensor_without_rows_first_is_refused(shape: list[int], message: str) -> None:
    tensor = {"name": "image", "datatype": "FP32", "shape": shape}
    with pytest.raises(ValidationError, match=message):
        Signature.model_validate({"task": "regression", "input": "tensors", "tensors": [tensor]})


def test_a_target_has_a_name_by_default() -> None:
    assert Target().name == "value"
