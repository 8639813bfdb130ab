"""Rows with their true labels: from the events of a service that kept them, or from the flight data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.retraining.stored_rows import Kept
from tidegate.service.model.artefact import Manifest
from tidegate.service.model.features import MAX_ROWS, Matrix, Schema
from tidegate.service.problems import RequestError

YEAR: Final = datetime(2013, 1, 1, tzinfo=UTC)
BLOCKS: Final = 50


class NoRowsError(Exception):
    """There are too few rows, or they do not fit the model. The text says which."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows in the order of time.

    Attributes:
        matrix: float32, encoded by the champion's features.
        truth: the position of each row's true label in the champion's classes.
        block: rows of one block are from one day or one short interval, and so not independent.
        window: the first and the last day or time, in ISO 8601.
        source: where they come from, in words.
    """

    matrix: Matrix
    truth: npt.NDArray[np.intp]
    block: npt.NDArray[np.int64]
    window: tuple[str, str]
    source: str

    def __len__(self) -> int:
        return len(self.truth)


def from_events(kept: Sequence[Kept], champion: Manifest) -> Labelled:
    """Rows from stored events, oldest first.

    Raises:
        NoRowsError: a row does not fit the champion's features, or there is none.
    """
    if not kept:
        raise NoRowsError("no row with a label was found")
    ordered = sorted(kept, key=lambda one: one.at_us)
    schema = Schema(champion.features)
    places = {str(label): place for place, label in enumerate(champion.classes)}
    if unknown := {one.label for one in ordered} - places.keys():
        raise NoRowsError(f"labels that the model does not know: {', '.join(sorted(unknown)[:10])}")
    parts: list[Matrix] = []
    for start in range(0, len(ordered), MAX_ROWS):
        instances = [one.row for one in ordered[start : start + MAX_ROWS]]
        try:
            parts.append(schema.encode(instances))
        except RequestError as problem:
            raise NoRowsError(f"a row does not fit the model: {problem.details[0]}") from problem
    at_us = np.array([one.at_us for one in ordered], dtype=np.int64)
    return Labelled(
        matrix=np.concatenate(parts),
        truth=np.array([places[one.label] for one in ordered], dtype=np.intp),
        block=_intervals(at_us),
        window=(_moment(ordered[0].at_us), _moment(ordered[-1].at_us)),
        source="events",
    )


def from_dataset(months: Iterable[int], champion: Manifest) -> Labelled:
    """The flights of some months of 2013, a day a block.

    Raises:
        NoRowsError: the champion is no model of the flights.
        FileNotFoundError: the data set is not installed.
    """
    # Not above: reading the tables needs pandas, and what is stored as events does not.
    from tidegate.service.training import flights as dataset  # noqa: PLC0415

    flights = dataset.read_flights()
    same = [(f.name, f.kind, f.categories) for f in flights.features]
    if same != [(f.name, f.kind, f.categories) for f in champion.features] or (
        champion.classes != dataset.CLASSES
    ):
        raise NoRowsError(f"{champion.name} {champion.version} is no model of the flights")
    picked = np.flatnonzero(np.isin(flights.month, list(months)))
    if not picked.size:
        raise NoRowsError("there is no flight in these months")
    picked = picked[np.argsort(flights.day[picked], kind="stable")]
    days = flights.day[picked]
    first, last = (YEAR + timedelta(days=int(day) - 1) for day in (days[0], days[-1]))
    return Labelled(
        matrix=flights.matrix[picked],
        truth=np.where(flights.late[picked], 0, 1).astype(np.intp),
        block=days,
        window=(first.date().isoformat(), last.date().isoformat()),
        source="dataset",
    )


def months_of(text: str) -> tuple[int, ...]:
    """`3-6` is (3, 4, 5, 6), `3` is (3,).

    Raises:
        ValueError: it is neither.
    """
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        low, high = 0, 0
    if not 1 <= low <= high <= 12:
        raise ValueError(f"{text!r} names no months of a year: take 3-6, or 3")
    return tuple(range(low, high + 1))


def _intervals(at_us: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Up to `BLOCKS` intervals with about equal numbers of rows; rows of one time are in the same one."""
    edges = np.unique(np.quantile(at_us, np.linspace(0, 1, BLOCKS + 1)[1:-1], method="lower"))
    return np.searchsorted(edges, at_us, side="left").astype(np.int64)


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")


def describe(labelled: Labelled, classes: Sequence[Any]) -> str:
    """How many rows and labels there are, in words."""
    counts = np.bincount(labelled.truth, minlength=len(classes)).tolist()
    shares = ", ".join(f"{label}: {count:,}" for label, count in zip(classes, counts, strict=True))
    return f"{len(labelled):,} rows with labels from {labelled.window[0]} to {labelled.window[1]} ({shares})"
