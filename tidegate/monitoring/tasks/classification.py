"""Classification: predictions and true labels are texts, and the mean measure is the accuracy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.distributions import Distribution
from tidegate.monitoring.counting.drift_test import smoothed_ratios
from tidegate.monitoring.counting.label_text import label_text
from tidegate.monitoring.counting.reference import MISSING, OTHER, FeatureReference
from tidegate.monitoring.feedback.outcomes import (
    Label,
    Outcome,
    OutcomeCounter,
    OutcomeRefusedError,
)
from tidegate.monitoring.feedback.prediction_ids import Prediction, model_digest
from tidegate.monitoring.tasks.answers import Answers, listed, numbers
from tidegate.monitoring.tasks.labelled_rows import Floats, LabelledRows
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.number_format import Format, percent
from tidegate.monitoring.tasks.panel import Line, Panel
from tidegate.monitoring.tasks.periods import Quality
from tidegate.monitoring.tasks.task import Column, Task
from tidegate.settings import Drift

MAX_LABELS: Final = 8
"""More labels than this are not distinguishable: the most frequent ones are shown."""
COLOURS: Final = ("p95", "queue", "replicas", "bad")
MAX_NAMES: Final = 50
"""Further labels that the reference does not have are counted as `other`."""
# With more classes than this, a pair of labels has no series before its first outcome.
_MAX_PAIRED: Final = 20
_MAX_SHOWN: Final = 20
_SCALARS: Final = (str, int, float)


class LabelNames:
    """The labels of the metrics of a model: those of its reference, and the first `MAX_NAMES` others.

    A label costs series, so an unlimited number of them would exhaust the memory. With a reference its label
    `other` counts all that it does not have.
    """

    def __init__(self, bins: FeatureReference | None = None) -> None:
        *names, self._other, self._missing = (OTHER, MISSING) if bins is None else bins.labels
        self._open = bins is None
        self._names = {} if bins is None else dict(zip(bins.bins, names, strict=False))

    @property
    def all(self) -> tuple[str, ...]:
        """The names so far."""
        return (*self._names.values(), self._other, self._missing)

    def name(self, label: str | None) -> str:
        """The name of a label; None is missing."""
        if label is None:
            return self._missing
        name = self._names.get(label)
        if name is not None:
            return name
        if self._open and len(self._names) < MAX_NAMES:
            # A label of its own may be called as the others are.
            name = f"={label}" if label in {self._other, self._missing} else label
            return self._names.setdefault(label, name)
        return self._other


class LabelTruth:
    """The labels of a classifier.

    Args:
        model: the model's name.
        classes: its classes, in order; without them a label is any text, number or boolean.
        names: the names of the labels in metrics, without classes.
        accuracy: the served version's accuracy on held-out rows, if it was measured.
        confident: whether its predictions have a confidence; else a Brier score begins with the first one.
    """

    def __init__(
        self,
        model: str,
        classes: Sequence[Label] = (),
        names: LabelNames | None = None,
        *,
        accuracy: float | None = None,
        confident: bool = True,
    ) -> None:
        self._classes, self._names = tuple(classes), names or LabelNames()
        self._accuracy, self._confident = accuracy, confident
        self.digest: Final = model_digest([model, *classes] if classes else {"model": model})

    def outcome(
        self, prediction: Prediction, label: object, lag_seconds: float, *, served: bool
    ) -> Outcome:
        """The outcome; see `Truth`."""
        if not isinstance(prediction.value, str):
            message = "The prediction_id is of a number, and the model predicts labels"
            raise OutcomeRefusedError("foreign_version", message)
        actual = self._actual(label)
        predicted = self._classes[int(prediction.value)] if self._classes else prediction.value
        correct, confidence = predicted == actual, prediction.certainty
        values: dict[str, Any] = {
            "predicted": str(predicted),
            "actual": str(actual),
            "correct": correct,
        }
        counted: dict[str, tuple[tuple[str, ...], float]] = {
            "ml_outcomes_total": (("true" if correct else "false",), 1),
            "ml_outcome_labels_total": ((self._name(predicted), self._name(actual)), 1),
        }
        if confidence is not None:
            values["confidence"] = round(confidence, 6)
            counted["ml_outcome_squared_error_total"] = ((), (confidence - correct) ** 2)
        if served and self._accuracy is not None:
            # The watcher reads it from the event, so it needs no artefact.
            values["accuracy"] = round(self._accuracy, 6)
        return Outcome(prediction, lag_seconds, values, counted)

    def counters(self) -> Sequence[OutcomeCounter]:
        """Correct and wrong predictions, pairs of labels, and the Brier score."""
        labels = [str(each) for each in self._classes] or self._names.all
        return (
            OutcomeCounter(
                "ml_outcomes_total",
                "Labels accepted at /feedback, by whether the prediction was correct.",
                ("correct",),
                [("true",), ("false",)],
            ),
            OutcomeCounter(
                "ml_outcome_labels_total",
                "Labels accepted at /feedback, by the predicted and the actual label.",
                ("predicted", "actual"),
                list(product(labels, labels)) if len(labels) <= _MAX_PAIRED else [],
            ),
            OutcomeCounter(
                "ml_outcome_squared_error_total",
                "Sum of (confidence - 1 if the prediction was correct, else 0)², for the Brier score.",
                (),
                [()] if self._confident else [],
            ),
        )

    def _actual(self, label: object) -> Label:
        if self._classes:
            # Compare the types too, as True == 1.
            for each in self._classes:
                if type(label) is type(each) and label == each:
                    return each
            shown = ", ".join(str(each) for each in self._classes[:_MAX_SHOWN])
            raise OutcomeRefusedError("unknown_label", f"The label should be one of {shown}")
        text = label_text(label) if isinstance(label, _SCALARS) else None
        if text is None:
            message = "The label should be a string, a number or a boolean"
            raise OutcomeRefusedError("unknown_label", message)
        return text

    def _name(self, label: Label) -> str:
        return str(label) if self._classes else self._names.name(str(label))


class ClassificationTask(Task):
    """Labels, with or without confidences. A row's measure is whether its label is correct."""

    known: ClassVar = ("confidence",)
    further: ClassVar = ("brier",)
    dtype: ClassVar = np.str_
    fractions: ClassVar = True
    labels_name: ClassVar = "labels"
    quality_title: ClassVar = "Accuracy"
    detail_title: ClassVar = "Calibration"
    segments_title: ClassVar = "Segments with lower accuracy"
    examples_title: ClassVar = "Most confident errors"
    right: ClassVar = "correct"
    right_held_out: ClassVar = "accuracy"
    wrong_name: ClassVar = "the error rate"

    def __init__(self, model: Model, drift: Drift) -> None:
        super().__init__(model, drift)
        self._names = LabelNames(model.reference.prediction)
        self._calibrated = model.reference.calibration is not None
        self.truth = LabelTruth(
            model.name, names=self._names, accuracy=model.accuracy, confident=self._calibrated
        )

    @staticmethod
    def digest(model: str) -> bytes:
        """That of a model whose classes are not known."""
        return LabelTruth(model).digest

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the reference; without one those so far."""
        return self._names.all

    def read(self, predictions: object, confidences: object | None) -> Answers:
        """The labels of one call."""
        labels = [label_text(value) for value in listed(predictions, "predictions")]
        scores = self._confidences(confidences, len(labels))
        counts = Counter(map(self._names.name, labels))
        fields: dict[str, Any] = {}
        if labels:
            fields["label"] = counts.most_common(1)[0][0]
        if scores is not None and len(scores):
            fields["probability"] = round(float(scores.mean()), 6)
        texts = [MISSING if label is None else label for label in labels]
        known = None if scores is None else scores.tolist()
        return Answers(
            counts,
            np.empty(0) if scores is None else scores,
            fields,
            lambda ids, at_us, request: ids.make(at_us, request, texts, known),
        )

    def _confidences(self, confidences: object | None, length: int) -> Floats | None:
        if confidences is None:
            if self._calibrated:
                raise ValueError(
                    "the reference has a calibration of confidences, so confidences are needed: pass the "
                    "probability of each predicted label as confidences="
                )
            return None
        scores = numbers(listed(confidences, "confidences"))
        if len(scores) != length:
            raise ValueError(f"there are {length} predictions and {len(scores)} confidences")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError("a confidence should be a number between 0 and 1")
        return scores

    def row(self, outcome: Mapping[str, Any]) -> tuple[Any, Any, tuple[float, ...]]:
        """Two labels and the confidence, which an application's own model may not have."""
        confidence = float(outcome.get("confidence", math.nan))
        return str(outcome["predicted"]), str(outcome["actual"]), (confidence,)

    def measure(self, rows: LabelledRows) -> Floats:
        """1 for a correct label, else 0."""
        same: Floats = (rows.predicted == rows.actual).astype(np.float64)
        return same

    def score(self, rows: LabelledRows) -> Floats:
        """The confidence."""
        return rows.known["confidence"]

    def further_measures(self, rows: LabelledRows) -> tuple[float, ...]:
        """The Brier score, the mean of (confidence - correct)²."""
        return (float(((self.score(rows) - self.measure(rows)) ** 2).mean()),)

    def variance(self, earlier: Floats, newest: Floats) -> float:
        """That of a test of two proportions, p(1 - p)(1/n + 1/m) with the pooled p."""
        pooled = float(np.concatenate([earlier, newest]).mean())
        return pooled * (1 - pooled) * (1 / len(earlier) + 1 / len(newest))

    def worst(self, rows: LabelledRows) -> npt.NDArray[np.intp]:
        """The errors, by descending confidence."""
        wrong = np.flatnonzero(rows.predicted != rows.actual)
        order: npt.NDArray[np.intp] = wrong[np.argsort(-self.score(rows)[wrong], kind="stable")]
        return order

    def held_out(self) -> float | None:
        """The accuracy."""
        return self.model.accuracy

    def worsening(self, quality: Quality) -> float:
        """The drop of the accuracy."""
        held_out = self.model.accuracy
        if quality.realised is None or held_out is None or quality.labels < self.drift.outcomes:
            return 0.0
        return held_out - quality.realised

    def limits(self) -> tuple[float, float]:
        """The drops of the accuracy."""
        return self.drift.accuracy_drop_warning, self.drift.accuracy_drop_critical

    def worsened(self, by: float) -> str:
        """In percentage points."""
        return f"accuracy down {100 * by:.1f} percentage points"

    def title(self) -> str:
        """The accuracy, which has no unit."""
        return "Accuracy"

    def format(self, overall: Quality) -> Format:
        """As percentages."""
        return percent

    def tiles(self, overall: Quality, text: Format) -> Sequence[tuple[str, str]]:
        """The accuracy of all rows."""
        return (
            (text(overall.realised), "accuracy"),
            (text(overall.expected), "expected accuracy"),
            (text(self.model.accuracy), "accuracy on held-out rows"),
            (_brier(overall), "Brier score"),
        )

    def columns(self, text: Format) -> Sequence[Column]:
        """The accuracy of a period."""
        return (
            Column("accuracy", lambda one: text(one.realised)),
            Column("expected accuracy", lambda one: text(one.expected)),
            Column("difference (percentage points)", _gap),
            Column("Brier score", _brier),
        )

    def note(self) -> str:
        """What expected accuracy is."""
        return (
            "Rows are assigned to the period of their response. Expected accuracy is the mean calibrated "
            "confidence of the same rows. It does not detect concept drift: trust it only where no feature "
            "has drifted. The difference is expected minus realised accuracy."
        )

    def example_columns(self, text: Format) -> Sequence[Column]:
        """Two labels and the confidence."""
        return (
            Column("predicted", lambda one: one.predicted),
            Column("actual", lambda one: one.actual, left=True),
            Column("confidence", lambda one: text(one.known["confidence"])),
        )

    def by_period(
        self, quality: Sequence[Quality], predictions: Distribution | None
    ) -> Panel | None:
        """The shares of the predicted labels."""
        if predictions is None:
            return None
        counts = predictions.counts
        rows = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, rows, out=np.full(counts.shape, np.nan), where=rows > 0)
        base = smoothed_ratios(predictions.reference)
        frequencies = predictions.reference + predictions.total
        occurring = np.flatnonzero(frequencies)
        # Of two labels, one determines the other.
        candidates = occurring[:1] if len(occurring) == 2 else occurring
        shown = sorted(candidates.tolist(), key=lambda number: -frequencies[number])[:MAX_LABELS]
        lines: list[Line] = []
        for number in shown:
            name = predictions.bins[number] if len(shown) > 1 else ""
            colour = COLOURS[number % len(COLOURS)]
            lines.append(Line(shares[:, number].tolist(), name=name, colour=colour, marked=True))
            lines.append(Line(base[number], colour=colour, style="dotted"))
        names = predictions.bins[shown[0]] if len(shown) == 1 else "each label"
        title = f"Fraction of rows predicted as {names} (dotted: on held-out rows)"
        return Panel(title, lines, fractions=True, limits=(0, None))

    def by_score(self, rows: LabelledRows) -> Panel:
        """The fraction of correct predictions, by confidence."""
        low = min(0.5, float(np.nanmin(self.score(rows))))
        lines = [Line((low, 1), (low, 1), colour="faint", style="dashed")]
        curve = self.model.reference.calibration
        if curve is not None:
            lines.append(Line(curve.correct, curve.confidence, "at training", "sent"))
        return Panel(
            "Fraction of correct predictions",
            lines,
            x_label="probability of the predicted label",
            fractions=True,
            means="now",
        )


def _brier(quality: Quality) -> str:
    value = quality.further["brier"]
    return "-" if value is None else f"{value:.3f}"


def _gap(quality: Quality) -> str:
    return "-" if quality.gap is None else f"{100 * quality.gap:+.1f}"
