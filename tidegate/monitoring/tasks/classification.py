"""Classification: a row's measure is whether its label is correct, so that the mean is the accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.distributions import Distribution
from tidegate.monitoring.counting.drift_test import smoothed_ratios
from tidegate.monitoring.counting.expectation import Expectation
from tidegate.monitoring.tasks.labelled_rows import Floats, LabelledRows
from tidegate.monitoring.tasks.number_format import Format, percent
from tidegate.monitoring.tasks.panel import Line, Panel
from tidegate.monitoring.tasks.periods import Quality
from tidegate.monitoring.tasks.task import Column, Task

MAX_LABELS: Final = 8
"""More labels than this are not distinguishable: the most frequent ones are shown."""
COLOURS: Final = ("p95", "queue", "replicas", "bad")


class ClassificationTask(Task):
    """Predictions are labels, with or without confidences."""

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

    def expectation(self) -> Expectation | None:
        """The calibrated confidence."""
        curve = self.model.reference.calibration
        return None if curve is None else Expectation.of_confidence(curve)

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

    def detail(self, rows: LabelledRows) -> Floats:
        """The measure."""
        return self.measure(rows)

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
