"""The summary of a report: in a few words, and in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.monitoring.report.findings import Findings


def badge(found: Findings) -> tuple[str, str]:
    """The summary of the report in a few words, and its level: good, doubtful or bad."""
    worse, task = found.worsening, found.task
    unknown = ["drift unknown"] if found.counters.error else []
    worsened = ", ".join([task.worsened(worse), *unknown])
    warning, critical = task.limits()
    if worse > critical:
        return worsened, "bad"
    if drifted := len(found.drifted):
        return f"{drifted} feature{'s' * (drifted > 1)} drifted", "doubtful"
    if task.compares_predictions and found.predictions_drifted:
        return "predicted values drifted", "doubtful"
    if worse > warning:
        return worsened, "doubtful"
    return (unknown[0], "doubtful") if unknown else ("no drift found", "good")


def summary(found: Findings) -> Iterator[str]:
    """What the report found, one sentence each."""
    yield from found.task.summary(found.overall, found.newest)
    of = found.counters.predictions
    if found.task.compares_predictions and found.newest and of is not None and of.psi is not None:
        drifted = "has" if found.predictions_drifted else "has not"
        yield f"The distribution of the predicted values {drifted} drifted (PSI {of.psi:.2f})."
