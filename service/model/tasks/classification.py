"""Classification: a class and its probability for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.tasks.classification import LabelTruth
from tidegate.service.model.artefact import ArtefactError, Manifest
from tidegate.service.model.predictions import DECIMALS, Classification
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.contract import Agreement, Compare, Output, Task
from tidegate.service.model.tasks.python_results import (
    ResultError,
    probability,
    scalar,
    type_name,
)
from tidegate.service.model.tensor_spec import TensorSpec
from tidegate.service.request_errors import format_names

PROBABILITIES: Final = "probabilities"
PAIR: Final = 2


class ClassificationTask(Task[Classification]):
    """The predictions of a classifier."""

    summary: ClassVar[str] = "A label and its probability for each instance"

    def __init__(self, signature: Signature, reference: Reference | None = None) -> None:
        self._classes = signature.classes
        self.labels = tuple(str(label) for label in signature.classes)
        self._position_texts = [str(position) for position in range(len(self.labels))]
        texts = any(isinstance(label, str) for label in signature.classes)
        self.outputs = (
            TensorSpec(name="label", datatype="BYTES" if texts else "INT64", shape=(-1,)),
            TensorSpec(name="probability", datatype="FP32", shape=(-1,)),
            TensorSpec(name=PROBABILITIES, datatype="FP32", shape=(-1, len(self.labels))),
        )

    @classmethod
    def declared(cls, predictor: Any) -> dict[str, Any]:
        """Its classes."""
        classes = getattr(predictor, "classes", None)
        if not isinstance(classes, list | tuple) or len(classes) < 2:
            raise ArtefactError(
                "the task classification, which needs `classes`: set it to a "
                'list of at least two labels, such as classes = ["late", "on_time"]'
            )
        return {"classes": tuple(classes)}

    def from_results(self, results: Sequence[Any]) -> Classification:
        """A label, a pair of it and its probability, or a dict of the probability of each, for each row."""
        classes = self._classes
        positions = {label: position for position, label in enumerate(classes)}
        labels = np.empty(len(results), np.intp)
        probabilities = np.zeros((len(results), len(classes)), np.float32)

        def position_of(label: object, number: int) -> int:
            label = scalar(label)
            if (
                not isinstance(label, str | int)
                or isinstance(label, bool)
                or label not in positions
            ):
                raise ResultError(
                    f"returned {type_name(label)} for row {number} that is none of its `classes`; return "
                    f"one of {format_names(self.labels)}, a pair of it and its probability, or a dict of "
                    "the probability of each"
                )
            return positions[label]

        for number, result in enumerate(results):
            if isinstance(result, Mapping):
                for label, share in result.items():
                    at = position_of(label, number)
                    probabilities[number, at] = probability(share, number)
                labels[number] = probabilities[number].argmax()
                if not result:
                    raise ResultError(f"returned an empty dict for row {number}")
                continue
            label, sure = result, 1.0
            if isinstance(result, list | tuple):
                if len(result) != PAIR:
                    raise ResultError(
                        f"returned {len(result)} values for row {number}, not a label and its probability"
                    )
                label, sure = result
            labels[number] = at = position_of(label, number)
            sure = probability(sure, number)
            # What is left is divided between the other classes, as nothing is known of them.
            probabilities[number] = (1 - sure) / (len(classes) - 1)
            probabilities[number, at] = sure
        return Classification(labels, probabilities)

    def from_graph(self, arrays: Sequence[npt.NDArray[Any]]) -> Classification:
        """The most probable class of each row."""
        (probabilities,) = arrays
        # On a tie scikit-learn predicts the first class. In float32 tied probabilities differ by a few 1e-8,
        # so they are rounded first.
        labels = np.rint(probabilities * 10**DECIMALS).argmax(axis=1)
        return Classification(labels, probabilities)

    def check(self, prediction: Classification, rows: int) -> None:
        """Check that there is a probability for each class."""
        if prediction.probabilities.shape != (rows, len(self.labels)):
            raise ValueError(
                f"its probabilities have the shape {list(prediction.probabilities.shape)} for {rows} rows of "
                f"{len(self.labels)} classes, not {[rows, len(self.labels)]}"
            )

    def answers(self, prediction: Classification) -> list[dict[str, Any]]:
        """The label and its rounded probability."""
        return [
            {"label": self._classes[label], "probability": probability}
            for label, probability in zip(prediction.positions, prediction.rounded, strict=True)
        ]

    def tensors(self, prediction: Classification) -> dict[str, Output]:
        """The labels, their probabilities, and the probability of each class."""
        return {
            "label": [self._classes[position] for position in prediction.labels],
            "probability": prediction.confidence,
            PROBABILITIES: prediction.probabilities.astype(np.float32, copy=False),
        }

    @property
    def answer_width(self) -> int:
        """The label and its probability."""
        return 2

    def counts(self, prediction: Classification) -> list[int]:
        """The number of rows of each class."""
        counts = [0] * len(self.labels)
        for position in prediction.positions:
            counts[position] += 1
        return counts

    def event_fields(self, prediction: Classification, counts: Sequence[int]) -> dict[str, Any]:
        """The most frequent label, and the mean probability of the labels."""
        rounded = prediction.rounded
        mean = rounded[0] if len(rounded) == 1 else float(prediction.confidence.mean())
        return {
            "label": self.labels[counts.index(max(counts))],
            "probability": round(mean, DECIMALS),
        }

    def scores(self, prediction: Classification) -> npt.NDArray[np.floating[Any]]:
        """The probability of each label."""
        return prediction.confidence

    def truth(self, manifest: Manifest) -> LabelTruth:
        """One of the classes."""
        return LabelTruth(manifest.name, manifest.classes, accuracy=manifest.held_out_accuracy)

    def sign(
        self, ids: PredictionIds, at_us: int, request: tuple[str, str], prediction: Classification
    ) -> list[str]:
        """Ids with the position of the class and its probability."""
        labels = [self._position_texts[position] for position in prediction.positions]
        return ids.make(at_us, request, labels, prediction.rounded)

    def comparison(self, shadow: Signature) -> Compare:
        """Whether both predict the same label; the order of the classes may differ."""
        positions = {label: position for position, label in enumerate(shadow.classes)}
        translated = np.array([positions[label] for label in self._classes], dtype=np.intp)

        def compare(served: Classification, found: Classification) -> Agreement:
            expected = translated[served.labels]
            # The probability of the label in the response, to compare with the serving model's.
            same = found.probabilities[np.arange(len(expected)), expected]
            confidence = served.confidence
            return Agreement(
                agreed=int((expected == found.labels).sum()),
                served={"probability": round(float(confidence.mean()), DECIMALS)},
                shadow={
                    "probability": round(float(same.mean()), DECIMALS),
                    "difference": round(float(np.abs(same - confidence).mean()), DECIMALS),
                },
            )

        return compare

    def differences(self, other: Signature) -> list[str]:
        """Other classes."""
        if set(self._classes) == set(other.classes):
            return []
        classes = (", ".join(map(str, each)) for each in (other.classes, self._classes))
        return ["its classes are {}, not {}".format(*classes)]

    def answer_fields(self) -> dict[str, Any]:
        """With the classes as the values of the label."""
        probability = Field(ge=0, le=1, description="The model's probability of this label")
        return {"label": (self.label_type(), ...), "probability": (float, probability)}

    def label_type(self) -> Any:
        """One of the classes."""
        return Literal[self._classes]
