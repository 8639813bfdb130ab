"""Request rows as events: what a later training reads (`tidegate.retraining.stored_rows`).

Nothing is kept unless `drift.keep_rows_share` says so: rows may tell of people, and they cost space. What is
stored with a row is not its prediction id, with which a label could be handed in, but the id of its outcome.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

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
