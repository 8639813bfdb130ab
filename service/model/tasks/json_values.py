"""Any JSON: what a predictor in Python returns if it declares no other task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import orjson
from pydantic import Field

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.predictions import JsonTexts
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.contract import Output, Task
from tidegate.service.model.tasks.python_results import ResultError
from tidegate.service.model.tensor_spec import BYTES, TensorSpec

VALUES: Final = "values"


class JsonValuesTask(Task[JsonTexts]):
    """A JSON value for each row; in the Open Inference Protocol, its text."""

    summary: ClassVar[str] = "A JSON value for each instance"
    no_feedback: ClassVar[str] = (
        "The served model answers any JSON (task `values`), for which no true label is defined"
    )

    def __init__(self, signature: Signature, reference: Reference | None = None) -> None:
        self.outputs = (TensorSpec(name=VALUES, datatype=BYTES, shape=(-1,)),)
        self.labels = (VALUES,)

    def from_results(self, results: Sequence[Any]) -> JsonTexts:
        """Any JSON for each row."""
        return [_json(result, number) for number, result in enumerate(results)]

    def check(self, prediction: JsonTexts, rows: int) -> None:
        """Nothing: each result was checked when it was returned."""

    def answers(self, prediction: JsonTexts) -> list[dict[str, Any]]:
        """The value of each row."""
        return [{VALUES: orjson.Fragment(text)} for text in prediction]

    def tensors(self, prediction: JsonTexts) -> dict[str, Output]:
        """The text of each value."""
        return {VALUES: [text.decode() for text in prediction]}

    def counts(self, prediction: JsonTexts) -> list[int]:
        """The number of rows."""
        return [len(prediction)]

    def answer_fields(self) -> dict[str, Any]:
        """Any value."""
        return {VALUES: (Any, Field(description="What the model returned for it"))}


def _json(result: object, number: int) -> bytes:
    try:
        # Unlike orjson it refuses NaN, which is no JSON.
        return json.dumps(result, allow_nan=False, default=_plain, separators=(",", ":")).encode()
    except TypeError as error:
        raise ResultError(
            f"returned something for row {number} that is not JSON: {error}"
        ) from None
    except RecursionError:
        raise ResultError(f"returned something for row {number} that is nested too deep") from None
    except ValueError:
        raise ResultError(
            f"returned a number that is not finite (NaN or infinity), or a list in itself, for row {number}; "
            "return None where there is no value"
        ) from None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a value is of type {type(value).__name__}")
