"""Rows with their true labels: from stored events, or from the flight data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.retraining.stored_rows import StoredRow
from tidegate.service.model.artefact import Manifest
from tidegate.service.model.features import MAX_ROWS, Matrix, Schema
from tidegate.service.request_errors import RequestError

YEAR: Final = datetime(2013, 1, 1, tzinfo=UTC)
MAX_BLOCKS: Final = 50
"""Largest number of blocks of stored rows."""


class NoRowsError(Exception):
    """There are too few rows, or they do not fit the model; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Rows with their true labels, in the order of time."""

    matrix: Matrix
    """float32, encoded by the features of the current model."""
    truth: npt.NDArray[np.intp]
    """The index of each row's true label in the classes of the current model."""
    block: npt.NDArray[np.int64]
    """Rows of one block are from one day or one short interval, so they are not independent."""
    window: tuple[str, str]
    """The first and the last day or time, in ISO 8601."""
    source: str
    """`events` or `dataset`."""

    def __len__(self) -> int:
        return len(self.truth)


def from_events(rows: Sequence[StoredRow], current: Manifest) -> TrainingRows:
    """Rows from stored events, oldest first.

    Raises:
        NoRowsError: there are no rows, or one does not fit the features of the current model.
    """
    if not rows:
        raise NoRowsError("no row with a label was found")
    ordered = sorted(rows, key=lambda row: row.at_us)
    schema = Schema(current.features, current.dtype)
    positions = {str(label): position for position, label in enumerate(current.classes)}
    if unknown := {row.label for row in ordered} - positions.keys():
        raise NoRowsError(
            f"labels that are not classes of the model: {', '.join(sorted(unknown)[:10])}"
        )
    parts: list[Matrix] = []
    for start in range(0, len(ordered), MAX_ROWS):
        instances = [row.values for row in ordered[start : start + MAX_ROWS]]
        try:
            parts.append(schema.encode(instances))
        except RequestError as problem:
            raise NoRowsError(f"a row does not fit the model: {problem.details[0]}") from problem
    at_us = np.array([row.at_us for row in ordered], dtype=np.int64)
    return TrainingRows(
        matrix=np.concatenate(parts),
        truth=np.array([positions[row.label] for row in ordered], dtype=np.intp),
        block=_intervals(at_us),
        window=(_iso_time(ordered[0].at_us), _iso_time(ordered[-1].at_us)),
        source="events",
    )


def from_dataset(months: Iterable[int], current: Manifest) -> TrainingRows:
    """The flights of some months of 2013; each day is a block.

    Raises:
        NoRowsError: the current model is not a model of the flights, or there are no flights.
        FileNotFoundError: the data set is not installed.
    """
    # Imported here: reading the tables needs pandas, reading events does not.
    from tidegate.service.training import flights as dataset  # noqa: PLC0415

    flights = dataset.read_flights()
    expected = [(f.name, f.kind, f.categories) for f in flights.features]
    if expected != [(f.name, f.kind, f.categories) for f in current.features] or (
        current.classes != dataset.CLASSES
    ):
        raise NoRowsError(f"{current.name} {current.version} is not a model of the flights")
    picked = np.flatnonzero(np.isin(flights.month, list(months)))
    if not picked.size:
        raise NoRowsError("there are no flights in these months")
    picked = picked[np.argsort(flights.day[picked], kind="stable")]
    days = flights.day[picked]
    first, last = (YEAR + timedelta(days=int(day) - 1) for day in (days[0], days[-1]))
    return TrainingRows(
        matrix=flights.matrix[picked],
        truth=np.where(flights.late[picked], 0, 1).astype(np.intp),
        block=days,
        window=(first.date().isoformat(), last.date().isoformat()),
        source="dataset",
    )


def months_of(text: str) -> tuple[int, ...]:
    """The months in a text: (3, 4, 5, 6) for `3-6`, (3,) for `3`.

    Raises:
        ValueError: it is neither.
    """
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        low, high = 0, 0
    if not 1 <= low <= high <= 12:
        raise ValueError(f"invalid months {text!r}: expected a month or a range, such as 3 or 3-6")
    return tuple(range(low, high + 1))


def _intervals(at_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Up to `MAX_BLOCKS` intervals with about equal numbers of rows; rows of one time are in the same one."""
    edges = np.unique(np.quantile(at_us, np.linspace(0, 1, MAX_BLOCKS + 1)[1:-1], method="lower"))
    return np.searchsorted(edges, at_us, side="left").astype(np.int64)


def _iso_time(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")


def describe(rows: TrainingRows, classes: Sequence[Any]) -> str:
    """The number of rows, their window and the number of rows per label, as a line of text."""
    counts = np.bincount(rows.truth, minlength=len(classes)).tolist()
    per_label = ", ".join(
        f"{label}: {count:,}" for label, count in zip(classes, counts, strict=True)
    )
    return f"{len(rows):,} rows with labels from {rows.window[0]} to {rows.window[1]} ({per_label})"
