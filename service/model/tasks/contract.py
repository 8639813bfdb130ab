"""The contract of a task: everything that depends on what a prediction is.

A task says how the graph's outputs become a prediction, and how that is answered, recorded, signed, compared
with a shadow's, and documented. CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, create_model

from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.feedback.outcomes import Truth
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.service.model.artefact import ArtefactError, Manifest
from tidegate.service.model.signature import Signature
from tidegate.service.model.tensor_spec import DYNAMIC, TensorSpec

PredictionT = TypeVar("PredictionT")
Output: TypeAlias = Sequence[Any] | npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the predictions of two models compare, over the rows of a request."""

    agreed: int
    """Rows on which they agree."""
    served: dict[str, Any]
    """Fields `prediction.*` of the event: the serving model's prediction."""
    shadow: dict[str, Any]
    """Fields `shadow.*` of the event: the shadow's, and their difference."""


Compare: TypeAlias = Callable[[Any, Any], Agreement]


class Task(ABC, Generic[PredictionT]):
    """What the predictions of a model are, by its signature and by what was measured at training."""

    labels: tuple[str, ...]
    """The values of the label of `tidegate_predictions_total`, in the order of `counts`."""
    outputs: tuple[TensorSpec, ...]
    """The outputs in the Open Inference Protocol."""
    summary: ClassVar[str]
    """What `/predict` answers, for the documentation."""
    no_feedback: ClassVar[str] = ""
    """Why a prediction has no true label; empty if it has one."""

    @abstractmethod
    def __init__(self, signature: Signature, reference: Reference | None = None) -> None: ...

    @classmethod
    def declared(cls, predictor: Any) -> dict[str, Any]:
        """The fields of the signature that a predictor in Python declares for this task.

        Raises:
            ArtefactError: one is missing or invalid; the text begins with the task.
        """
        return {}

    def from_results(self, results: Sequence[Any]) -> PredictionT:
        """The prediction in what a predictor in Python returned, one result for each row.

        Raises:
            ResultError: a result is invalid.
        """
        raise NotImplementedError

    def from_graph(self, arrays: Sequence[npt.NDArray[Any]]) -> PredictionT:
        """The prediction in the outputs that the signature names: `outputs`, or one of them."""
        raise NotImplementedError

    @abstractmethod
    def check(self, prediction: PredictionT, rows: int) -> None:
        """Check the shape of the first prediction, when a model is loaded.

        Raises:
            ValueError: the model answers something else than its signature says.
        """

    @abstractmethod
    def answers(self, prediction: PredictionT) -> list[dict[str, Any]]:
        """The prediction of each row as `/predict` answers it, without its id: JSON or numpy values."""

    @abstractmethod
    def tensors(self, prediction: PredictionT) -> dict[str, Output]:
        """The values of each of `outputs`; the first axis is the rows."""

    @abstractmethod
    def counts(self, prediction: PredictionT) -> list[int]:
        """The number of rows of each of `labels`."""

    def event_fields(self, prediction: PredictionT, counts: Sequence[int]) -> dict[str, Any]:
        """The fields `prediction.*` of a request's event, by its `counts`; none if none is worth one."""
        return {}

    def scores(self, prediction: PredictionT) -> npt.NDArray[np.floating[Any]]:
        """What the drift monitor expects the accuracy or the error of: a score of each row; empty if none."""
        return np.empty(0)

    def truth(self, manifest: Manifest) -> Truth | None:
        """What a true label is; None if `no_feedback` says why there is none."""
        return None

    def sign(
        self, ids: PredictionIds, at_us: int, request: tuple[str, str], prediction: PredictionT
    ) -> list[str]:
        """The prediction id of each row, for a response in microseconds since 1970 to a trace and span id."""
        raise NotImplementedError

    def comparison(self, shadow: Signature) -> Compare:
        """What compares the predictions of this model with those of a shadow with the same kind of answers.

        Raises:
            ArtefactError: they cannot be compared; the text continues a sentence about the shadow.
        """
        raise ArtefactError(f"has the task {shadow.task}, whose predictions are not compared")

    def differences(self, other: Signature) -> list[str]:
        """What a client of this model would notice of the answers of another one of the same task."""
        return []

    @abstractmethod
    def answer_fields(self) -> dict[str, Any]:
        """The type and the description of each field of `answers`."""

    def answer_type(self) -> type[BaseModel]:
        """The type of the answer for one row, for the OpenAPI document."""
        fields = self.answer_fields()
        if not self.no_feedback:
            fields["prediction_id"] = (
                str,
                Field(description="Send it to /feedback with the true label"),
            )
        return create_model("Prediction", __doc__="The prediction for one instance.", **fields)

    def label_type(self) -> Any:
        """The type of a true label, for the OpenAPI document."""
        return str | int

    @property
    def has_dynamic_outputs(self) -> bool:
        """Whether the number of values per row is known only after the prediction."""
        return any(DYNAMIC in output.shape[1:] for output in self.outputs)

    @property
    def answer_width(self) -> int:
        """The least number of values per row that `/predict` answers."""
        return self.width([output.name for output in self.outputs])

    def width(self, names: Sequence[str]) -> int:
        """The least number of values per row of the named outputs; 1 for each that is not of the task."""
        widths = {
            output.name: prod(max(1, size) for size in output.shape[1:]) for output in self.outputs
        }
        return sum(widths.get(name, 1) for name in names)
