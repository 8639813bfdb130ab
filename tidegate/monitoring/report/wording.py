"""The words and the columns of a report, for each task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.monitoring.report.findings import Findings
from tidegate.monitoring.report.number_format import Format, number_format, percent, signed
from tidegate.monitoring.report.periods import Quality
from tidegate.monitoring.report.quality import Example
from tidegate.monitoring.report.task import CLASSIFICATION, Task, rise

MAX_POINTS: Final = 1500
"""Residuals in their plot: more would hide each other, and make the page large."""


@dataclass(frozen=True, slots=True)
class Column:
    """The title of a column, and the text of its cell for a `Quality` or an `Example`."""

    title: str
    text: Callable[[Any], str]
    left: bool = False


@dataclass(frozen=True, slots=True)
class Wording:
    """The words about one task.

    Attributes:
        labels: what true labels are called.
        quality: the heading of the section about the quality by period.
        quality_picture: what its plot shows.
        measure: the name of the measure in the table of segments.
        drifted: the heading of the column of the features that drifted most in a period.
        distributions: the heading of the section about distributions.
        distribution: what one of them is of.
        detail: the heading of the section about the rows by score.
        detail_picture: what its plot shows.
        segments: the heading of the section about segments.
        examples: the heading of the section about the worst predictions.
        no_example: what stands there if there is none.
        columns: the measures of a period.
        example_columns: what is shown of an example.
        tiles: the figures at the top with what they are.
        note: how the table of periods is to be read.
        detail_note: how the plot of the rows by score is to be read; empty if it needs no words.
        worsened: the worsening in a few words.
        summary: what the report found, one sentence each.
    """

    labels: str
    quality: str
    quality_picture: str
    measure: str
    drifted: str
    distributions: str
    distribution: str
    detail: str
    detail_picture: str
    segments: str
    examples: str
    no_example: str
    columns: Callable[[Format], Sequence[Column]]
    example_columns: Callable[[Format], Sequence[Column]]
    tiles: Callable[[Findings, Format], Sequence[tuple[str, str]]]
    note: Callable[[Findings], str]
    detail_note: Callable[[Findings], str]
    worsened: Callable[[float], str]
    summary: Callable[[Findings], Iterator[str]]


def wording(task: Task) -> Wording:
    """The words about a task."""
    return CLASSIFIER if task is CLASSIFICATION else REGRESSOR


def measure_format(found: Findings) -> Format:
    """Formats measures: as percentages, or by the size of the errors in the target's unit."""
    if not found.model.task.numbers:
        return percent
    held_out = found.model.task.held_out(found.model)
    return number_format(found.overall.realised if held_out is None else held_out)


def badge(found: Findings) -> tuple[str, str]:
    """The summary of the report in a few words, and its level: good, doubtful or bad."""
    worse, task = found.worsening, found.model.task
    unknown = ["drift unknown"] if found.counters.error else []
    worsened = ", ".join([wording(task).worsened(worse), *unknown])
    warning, critical = task.limits(found.drift)
    if worse > critical:
        return worsened, "bad"
    if drifted := len(found.drifted):
        return f"{drifted} feature{'s' * (drifted > 1)} drifted", "doubtful"
    if task.numbers and found.predictions_drifted:
        return "predicted values drifted", "doubtful"
    if worse > warning:
        return worsened, "doubtful"
    return (unknown[0], "doubtful") if unknown else ("no drift found", "good")


def unit(found: Findings, text: str = " {}") -> str:
    """The unit of the model's values in this text; empty if it has none."""
    return text.format(found.model.unit) if found.model.unit else ""


def _brier(quality: Quality) -> str:
    value = quality.further["brier"]
    return "-" if value is None else f"{value:.3f}"


def _gap(quality: Quality) -> str:
    return "-" if quality.gap is None else f"{100 * quality.gap:+.1f}"


CLASSIFIER: Final = Wording(
    labels="labels",
    quality="Accuracy",
    quality_picture="Accuracy and predicted labels by period",
    measure="",
    drifted="most drifted features (PSI)",
    distributions="Feature distributions",
    distribution="feature",
    detail="Calibration",
    detail_picture="Fraction of correct predictions by confidence",
    segments="Segments with lower accuracy",
    examples="Most confident errors",
    no_example="no wrong prediction is known",
    columns=lambda text: (
        Column("accuracy", lambda one: text(one.realised)),
        Column("expected accuracy", lambda one: text(one.expected)),
        Column("difference (percentage points)", _gap),
        Column("Brier score", _brier),
    ),
    example_columns=lambda text: (
        Column("predicted", lambda one: one.predicted),
        Column("actual", lambda one: one.actual, left=True),
        Column("confidence", lambda one: text(one.confidence)),
    ),
    tiles=lambda found, text: (
        (text(found.overall.realised), "accuracy"),
        (text(found.overall.expected), "expected accuracy"),
        (text(found.model.accuracy), "accuracy on held-out rows"),
        (_brier(found.overall), "Brier score"),
    ),
    note=lambda _: (
        "Rows are assigned to the period of their response. Expected accuracy is the mean calibrated "
        "confidence of the same rows. It does not detect concept drift: trust it only where no feature has "
        "drifted. The difference is expected minus realised accuracy."
    ),
    detail_note=lambda _: "",
    worsened=lambda by: f"accuracy down {100 * by:.1f} percentage points",
    summary=lambda _: iter(()),
)


def _interval(example: Example) -> str:
    return "-" if math.isnan(example.inside) else "inside" if example.inside else "outside"


def _error_tiles(found: Findings, text: Format) -> Sequence[tuple[str, str]]:
    of = unit(found, " ({})")
    return (
        (text(found.overall.realised), f"mean absolute error{of}"),
        (text(found.overall.expected), f"expected error{of}"),
        (text(found.model.task.held_out(found.model)), f"error on held-out rows{of}"),
        (percent(found.overall.further["coverage"]), "inside the interval"),
    )


def _error_note(found: Findings) -> str:
    return (
        f"{unit(found, 'Errors are in {}. ')}Rows are assigned to the period of their response. The expected "
        "error is that of held-out rows with similar predicted values. It does not detect concept drift: "
        "trust it only where no feature has drifted. The mean residual is the mean of actual minus predicted "
        "value: negative if the model predicts too much."
    )


def _residuals_note(found: Findings) -> str:
    sample = " of a sample" if found.overall.labels > MAX_POINTS else ""
    return (
        f"Each point is a row{sample}. The line is the mean of a tenth of the rows: away from zero, the "
        "model is biased for such values. Where the band is wider than the two lines of the interval, the "
        "interval is too narrow. One residual in a hundred may be beyond the axis."
    )


def _error_summary(found: Findings) -> Iterator[str]:
    if not found.overall.labels:
        yield "No actual value is known, so nothing can be said about the errors."
        return
    yield from _error(found)
    yield from _bias(found)
    yield from _coverage(found)
    if (of := found.counters.predictions) is not None and of.psi is not None:
        drifted = "has" if found.predictions_drifted else "has not"
        yield f"The distribution of the predicted values {drifted} drifted (PSI {of.psi:.2f})."


def _error(found: Findings) -> Iterator[str]:
    newest, held_out = found.newest, found.model.reference.residuals
    if newest is None:
        return
    text, of = measure_format(found), unit(found)
    said = (
        f"Over {newest.labels:,} actual values of the newest period ({newest.period.name}) the mean absolute "
        f"error is {text(newest.realised)}{of}"
    )
    if held_out is None:
        yield f"{said}; there are no held-out errors to compare with."
        return
    risen = rise(newest, held_out)
    said += f", on held-out rows {text(held_out.mean_absolute_error)}{of}"
    if risen is None:
        yield f"{said}."
    elif newest.labels < found.drift.outcomes:
        yield f"{said}; fewer than {found.drift.outcomes} values are too few to compare them."
    elif found.worsening > 0:
        yield f"{said}: it has risen by {100 * risen:.0f} %, which chance does not explain."
    elif risen > 0:
        yield f"{said}: chance may explain the difference of {100 * risen:.0f} %."
    else:
        yield f"{said}: it has not risen."


def _bias(found: Findings) -> Iterator[str]:
    labels, further = found.overall.labels, found.overall.further
    bias, rmse = further["bias"], further["rmse"]
    if bias is None or rmse is None or labels < found.drift.outcomes:
        return
    error = math.sqrt(max(0.0, rmse**2 - bias**2) / labels)
    if abs(bias) > found.drift.error_z * error:
        which = "too little" if bias > 0 else "too much"
        size = f"{measure_format(found)(abs(bias))}{unit(found)}"
        yield f"On average the model predicts {size} {which}."


def _coverage(found: Findings) -> Iterator[str]:
    coverage, held_out = found.overall.further["coverage"], found.model.reference.residuals
    if coverage is not None and held_out is not None:
        yield (
            f"{coverage:.1%} of the actual values are inside the predicted interval, "
            f"{held_out.held_out_coverage:.1%} of those of held-out rows."
        )


REGRESSOR: Final = Wording(
    labels="actual values",
    quality="Errors",
    quality_picture="Mean absolute error and coverage by period",
    measure="error ",
    drifted="most drifted (PSI)",
    distributions="Predicted values and features",
    distribution="distribution",
    detail="Residuals by predicted value",
    detail_picture="Actual minus predicted value, by predicted value",
    segments="Segments with larger errors",
    examples="Largest errors",
    no_example="no actual value is known",
    columns=lambda text: (
        Column("mean absolute error", lambda one: text(one.realised)),
        Column("expected error", lambda one: text(one.expected)),
        Column("RMSE", lambda one: text(one.further["rmse"])),
        Column("mean residual", lambda one: signed(text)(one.further["bias"])),
        Column("inside the interval", lambda one: percent(one.further["coverage"])),
    ),
    example_columns=lambda text: (
        Column("predicted", lambda one: text(one.predicted)),
        Column("actual", lambda one: text(one.actual)),
        Column("residual", lambda one: signed(text)(one.actual - one.predicted)),
        Column("interval", _interval, left=True),
    ),
    tiles=_error_tiles,
    note=_error_note,
    detail_note=_residuals_note,
    worsened=lambda by: f"error up {100 * by:.0f} %",
    summary=_error_summary,
)
