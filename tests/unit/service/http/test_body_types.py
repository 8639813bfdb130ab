"""A body of faults takes no more time and memory than one fault; its validation is not that of the values."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from pydantic import BaseModel

from tidegate.service.http.body_types import Feedback, InferenceRequest, Request, validated
from tidegate.service.model.features import MAX_DETAILS
from tidegate.service.request_errors import RequestError

TENSOR = {"name": "a", "datatype": "FP32", "shape": [1]}
MANY = 100_000
NAMES = {f"name{number}": 1 for number in range(MANY)}
# 100,000 faults take 100 MB and more.
MEMORY_BYTES = 16 * 2**20


@pytest.mark.parametrize(
    ("kind", "body", "place"),
    [
        (InferenceRequest, {"inputs": [{}] * MANY}, ("inputs", 0, "name")),
        (InferenceRequest, {"inputs": [1] * MANY}, ("inputs", 0)),
        (InferenceRequest, {"inputs": [TENSOR] * MANY}, ("inputs",)),
        (
            InferenceRequest,
            {"inputs": [{**TENSOR, "shape": [0] * MANY}]},
            ("inputs", 0, "shape", 0),
        ),
        (InferenceRequest, {"inputs": [{**TENSOR, "shape": [1] * MANY}]}, ("inputs", 0, "shape")),
        (InferenceRequest, {"inputs": [TENSOR], "outputs": [1] * MANY}, ("outputs", 0)),
        (InferenceRequest, {"inputs": [TENSOR], "outputs": [{"name": "a"}] * MANY}, ("outputs",)),
        (Request, {"instances": [], **NAMES}, ("body",)),
        (Feedback, {"outcomes": [], **NAMES}, ("body",)),
        (Feedback, {"outcomes": [NAMES]}, ("body", "outcomes", 0)),
        (
            Feedback,
            {"outcomes": [{"a": 1, "b": 2}] * 4096},
            ("body", "outcomes", 0, "prediction_id"),
        ),
        (Feedback, {"outcomes": [1] * MANY}, ("body", "outcomes", 0)),
    ],
)
def test_a_body_of_faults_takes_no_more_memory_than_a_few(
    kind: type[BaseModel], body: dict[str, Any], place: tuple[str | int, ...]
) -> None:
    tracemalloc.start()
    with pytest.raises(RequestError) as refused:
        validated(kind, body)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.details[0].loc == place
    assert len(refused.value.details) <= MAX_DETAILS
    assert most < MEMORY_BYTES
