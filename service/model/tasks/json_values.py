"""Any JSON: what a predictor in Python returns if it declares no other task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt
import orjson
from pydantic import BaseModel, Field, create_model

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.predictions import JsonValues
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.contract import Output, Task
from tidegate.service.model.tensor_spec import BYTES, TensorSpec

VALUES: Final = "values"


class JsonValuesTask(Task[JsonValues]):
    """A JSON value for each row; in the Open Inference Protocol, its text."""

    summary: ClassVar[str] = "A JSON value for each instance"
    no_feedback: ClassVar[str] = (
        "The served model answers any JSON (task `values`), for which no true label is defined"
    )

    def __init__(self, signature: Signature, reference: Reference | None = None) -> None:
        self.outputs = (TensorSpec(name=VALUES, datatype=BYTES, shape=(-1,)),)
        self.labels = (VALUES,)

    def graph_outputs(self, names: Sequence[str]) -> list[str]:
        """It has no graph.

        Raises:
            ValueError: always.
        """
        raise ValueError("a predictor in Python has no graph")

    def from_graph(self, arrays: Sequence[npt.NDArray[Any]]) -> JsonValues:
        """It has no graph.

        Raises:
            ValueError: always.
        """
        raise ValueError("a predictor in Python has no graph")

    def check(self, prediction: JsonValues, rows: int) -> None:
        """Nothing: each result was checked when it was returned."""

    def answers(self, prediction: JsonValues) -> list[dict[str, Any]]:
        """The value of each row."""
        return [{VALUES: orjson.Fragment(text)} for text in prediction.texts]

    def tensors(self, prediction: JsonValues) -> dict[str, Output]:
        """The text of each value."""
        return {VALUES: [text.decode() for text in prediction.texts]}

    def counts(self, prediction: JsonValues) -> list[int]:
        """The number of rows."""
        return [len(prediction.texts)]

    def event_fields(self, prediction: JsonValues, counts: Sequence[int]) -> dict[str, Any]:
        """None: nothing of the values is known to be worth a field."""
        return {}

    def scores(self, prediction: JsonValues) -> npt.NDArray[np.floating[Any]]:
        """None."""
        return np.empty(0)

    def differences(self, other: Signature) -> list[str]:
        """None that is known."""
        return []

    def answer_type(self) -> type[BaseModel]:
        """An object with any value."""
        return create_model(
            "Prediction",
            __doc__="The prediction for one instance.",
            values=(Any, Field(description="What the model returned for it")),
        )
