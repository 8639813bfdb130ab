"""Predicted values with a known actual value, read from the store."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.drift.report.labelled_rows import (
    Texts,
    first_labels,
    read_events,
    segment_columns,
)
from tidegate.events.event import Event
from tidegate.store.base import EventStore
from tidegate.store.search.event_lines import value_of

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledValues:
    """Columns of one length, one element for each labelled row, ordered by the time of the response.

    Attributes:
        answered: the time of the response, in seconds since 1970.
        predicted: the predicted value.
        actual: the actual value.
        inside: 1 if the actual value is inside the predicted interval, else 0; NaN if there was none.
        trace: the trace id of the request.
        row: the row's index in the request.
        segments: values of features, by the feature; `NO_SEGMENT` where unknown.
    """

    answered: Floats
    predicted: Floats
    actual: Floats
    inside: Floats
    trace: Texts
    row: npt.NDArray[np.intp]
    segments: Mapping[str, Texts]

    @property
    def residuals(self) -> Floats:
        """Actual minus predicted values."""
        residuals: Floats = self.actual - self.predicted
        return residuals

    def __len__(self) -> int:
        return len(self.answered)


def read_labelled_values(
    store: EventStore, model: str, version: str, since: datetime, segments: Sequence[str]
) -> LabelledValues:
    """The labelled rows that a version of a regressor has answered since a time.

    Args:
        store: the store of the events.
        model: the model's name.
        version: its version.
        since: labels of earlier responses are omitted, whenever the label arrived.
        segments: features whose values are read from the request events.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    outcomes, requests = read_events(store, model, version, since, segments)
    return join_values(outcomes, requests, segments, since.timestamp())


def join_values(
    outcomes: Iterable[Event],
    requests: Iterable[Event],
    segments: Sequence[str],
    since: float = 0.0,
) -> LabelledValues:
    """Outcome events as columns, with the segment values of their request events.

    As `join_outcomes` does, it takes the first label of a prediction and skips events that lack a field.
    """
    rows = first_labels(outcomes, _values, since)
    columns = np.array([each.content for each in rows], np.float64).reshape(-1, 3)
    return LabelledValues(
        answered=np.array([each.answered for each in rows], np.float64),
        predicted=columns[:, 0],
        actual=columns[:, 1],
        inside=columns[:, 2],
        trace=np.array([each.trace for each in rows], np.str_),
        row=np.array([each.number for each in rows], np.intp),
        segments=segment_columns(rows, requests, segments),
    )


def _values(event: Event) -> tuple[float, float, float]:
    """The predicted and the actual value, and whether it is inside the interval.

    Raises:
        ValueError: a value is not a finite number.
    """
    outcome: Any = value_of(event, "tidegate.outcome")
    predicted, actual = float(outcome["predicted_value"]), float(outcome["actual_value"])
    if not (math.isfinite(predicted) and math.isfinite(actual)):
        raise ValueError("a value is not finite")
    inside = outcome.get("inside")
    return predicted, actual, math.nan if inside is None else float(bool(inside))
