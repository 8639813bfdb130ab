"""The summary of a report on a classifier."""

from __future__ import annotations

from tidegate.drift.report.findings import Findings


def badge(found: Findings) -> tuple[str, str]:
    """The summary of the report, and its level: good, doubtful or bad."""
    drop = _drop(found)
    dropped = [f"accuracy down {100 * drop:.1f} percentage points"]
    unknown = ["drift unknown"] if found.counters.error else []
    if drop > found.drift.accuracy_drop_critical:
        return ", ".join(dropped + unknown), "bad"
    if found.drifted:
        count = len(found.drifted)
        return f"{count} feature{'s' * (count > 1)} drifted", "doubtful"
    if drop > found.drift.accuracy_drop_warning:
        return ", ".join(dropped + unknown), "doubtful"
    return (unknown[0], "doubtful") if unknown else ("no drift found", "good")


def _drop(found: Findings) -> float:
    """The drop of accuracy from held-out rows to the newest period; 0 if unknown or on too few labels."""
    newest, held_out = found.newest, found.model.accuracy
    if newest is None or newest.accuracy is None or held_out is None:
        return 0.0
    return held_out - newest.accuracy if newest.labels >= found.drift.outcomes else 0.0
