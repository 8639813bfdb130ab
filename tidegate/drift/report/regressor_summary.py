"""The summary of a report on a regressor, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tidegate.drift.report.regressor_findings import RegressorFindings


def badge(found: RegressorFindings) -> tuple[str, str]:
    """The summary of the report in a few words, and its level: good, doubtful or bad."""
    rise = found.rise or 0.0
    risen = f"error up {100 * rise:.0f} %"
    unknown = ["drift unknown"] if found.counters.error else []
    if rise > found.drift.error_rise_critical:
        return ", ".join([risen, *unknown]), "bad"
    drifted = len(found.drifted)
    if drifted:
        return f"{drifted} feature{'s' * (drifted > 1)} drifted", "doubtful"
    if found.predictions_drifted:
        return "predicted values drifted", "doubtful"
    if rise > found.drift.error_rise_warning:
        return ", ".join([risen, *unknown]), "doubtful"
    return (unknown[0], "doubtful") if unknown else ("no drift found", "good")


def summary(found: RegressorFindings) -> list[str]:
    """What the report found, one sentence each."""
    if not found.overall.labels:
        return ["No actual value is known, so nothing can be said about the errors."]
    return [*_error(found), *_bias(found), *_coverage(found), *_predictions(found)]


def _error(found: RegressorFindings) -> Iterator[str]:
    newest, held_out = found.newest, found.held_out
    if newest is None or newest.error is None:
        return
    unit = f" {found.model.unit}" if found.model.unit else ""
    text = (
        f"Over {newest.labels:,} actual values of the newest period ({newest.period.name}) the mean absolute "
        f"error is {found.format(newest.error)}{unit}"
    )
    if held_out is None:
        yield f"{text}; there are no held-out errors to compare with."
        return
    rise = newest.rise(held_out)
    text += f", on held-out rows {found.format(held_out.mean_absolute_error)}{unit}"
    if rise is None:
        yield f"{text}."
    elif newest.labels < found.drift.outcomes:
        yield f"{text}; fewer than {found.drift.outcomes} values are too few to compare them."
    elif found.rise is not None:
        yield f"{text}: it has risen by {100 * rise:.0f} %, which chance does not explain."
    elif rise > 0:
        yield f"{text}: chance may explain the difference of {100 * rise:.0f} %."
    else:
        yield f"{text}: it has not risen."


def _bias(found: RegressorFindings) -> Iterator[str]:
    every = found.overall
    if every.bias is None or every.rmse is None or every.labels < found.drift.outcomes:
        return
    error = math.sqrt(max(0.0, every.rmse**2 - every.bias**2) / every.labels)
    if abs(every.bias) > found.drift.error_z * error:
        unit = f" {found.model.unit}" if found.model.unit else ""
        which = "too little" if every.bias > 0 else "too much"
        yield f"On average the model predicts {found.format(abs(every.bias))}{unit} {which}."


def _coverage(found: RegressorFindings) -> Iterator[str]:
    coverage, held_out = found.overall.coverage, found.held_out
    if coverage is None or held_out is None:
        return
    yield (
        f"{coverage:.1%} of the actual values are inside the predicted interval, "
        f"{held_out.held_out_coverage:.1%} of those of held-out rows."
    )


def _predictions(found: RegressorFindings) -> Iterator[str]:
    of = found.counters.predictions
    if of is None or of.psi is None:
        return
    if found.predictions_drifted:
        yield f"The distribution of the predicted values has drifted (PSI {of.psi:.2f})."
    else:
        yield f"The distribution of the predicted values has not drifted (PSI {of.psi:.2f})."
