"""Labelled rows and the origin of events, for the tests of the drift report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tidegate.drift.report.labelled_rows import LabelledRows
from tidegate.events.event import Event, Origin

ORIGIN = Origin("flights", "1", "test", "flights-1", "default")
MakeEvent = Callable[..., Event]


def rows_of(
    answered: Sequence[float],
    right: Sequence[bool],
    confidence: Sequence[float],
    **segments: Sequence[str],
) -> LabelledRows:
    """Rows that were all predicted as `late`."""
    return LabelledRows(
        np.array(answered, np.float64),
        np.full(len(right), "late"),
        np.where(np.array(right, np.bool_), "late", "on_time"),
        np.array(confidence),
        np.array([f"{at:032x}" for at in range(len(right))], np.str_),
        np.arange(len(right)),
        {name: np.array(values, np.str_) for name, values in segments.items()},
    )
