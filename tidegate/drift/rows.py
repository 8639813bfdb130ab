"""Rows that were kept: how they are written as events, and how labels find them again.

Nothing is kept unless `drift.keep_rows_share` says so: rows may tell of people, and they cost space. What is
stored with a row is not its prediction id, with which a label could be handed in, but the id of its outcome.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tidegate.events import Event
from tidegate.store import moments

ROWS_QUERY: Final = "event.dataset:tidegate.rows"
OUTCOMES_QUERY: Final = "event.dataset:tidegate.outcome"
EVENT_ROWS: Final = 256
"""Rows in one event, at most; a request of more is several events."""
_SIGNATURE_BYTES: Final = 16


def outcome_id(prediction_id: str) -> str:
    """The `event.id` of the outcome of a prediction id that is one of ours."""
    signed = base64.urlsafe_b64decode(prediction_id + "=" * (-len(prediction_id) % 4))
    return hashlib.sha256(b"outcome:" + signed[-_SIGNATURE_BYTES:]).hexdigest()[:32]


def row_events(
    names: Sequence[str],
    values: Sequence[Sequence[Any]],
    prediction_ids: Sequence[str],
    *,
    trace_id: str,
    model: str,
    version: str,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each event's sentence and fields.

    Args:
        names: the features.
        values: a list a row, in their order.
        prediction_ids: of each row.
        trace_id: of the request.
        model: the model's name.
        version: its version.
    """
    for first in range(0, len(values), EVENT_ROWS):
        part = values[first : first + EVENT_ROWS]
        ids = [outcome_id(each) for each in prediction_ids[first : first + EVENT_ROWS]]
        yield (
            f"{len(part)} rows kept",
            {
                "event": {"action": "keep"},
                "trace": {"id": trace_id},
                "tidegate": {
                    "model": {"name": model, "version": version},
                    "rows": len(part),
                    "features": {"names": list(names), "rows": part, "outcome_ids": ids},
                },
            },
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """A row with its true label; `at_us` is when it was answered, in microseconds since 1970."""

    at_us: int
    row: Mapping[str, Any]
    label: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the events held.

    Attributes:
        kept: rows that have their label.
        rows: all rows of the model.
        labels: all its labels.
    """

    kept: list[Kept]
    rows: int
    labels: int


def join(rows: Iterable[Event], outcomes: Iterable[Event], model: str) -> Found:
    """Bring rows and labels of a model together, of whatever version of it they are.

    Of two labels with one id, which a store of several indices may hold, the first one given here counts.
    """
    truth: dict[str, str] = {}
    for event in outcomes:
        if _model(event) != model:
            continue
        if (actual := event["tidegate"].get("outcome", {}).get("actual")) is not None:
            truth.setdefault(event["event"]["id"], str(actual))
    kept: list[Kept] = []
    seen: set[str] = set()
    for event in rows:
        if _model(event) != model:
            continue
        at_us = moments.microseconds(event["@timestamp"]) or 0
        for name, row in _rows(event):
            if name not in seen and name in truth:
                kept.append(Kept(at_us, row, truth[name]))
            seen.add(name)
    return Found(kept, len(seen), len(truth))


def _model(event: Event) -> str:
    try:
        return str(event["tidegate"]["model"]["name"])
    except (KeyError, TypeError):
        return ""


def _rows(event: Event) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        held = event["tidegate"]["features"]
        names, rows, ids = held["names"], held["rows"], held["outcome_ids"]
        pairs = [
            (str(name), dict(zip(names, row, strict=True)))
            for name, row in zip(ids, rows, strict=True)
        ]
    except (KeyError, TypeError, ValueError):
        return  # an event that somebody else wrote
    yield from pairs
