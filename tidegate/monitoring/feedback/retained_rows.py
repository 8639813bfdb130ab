"""Request rows as events, which retraining reads (`tidegate.monitoring.retraining.stored_rows`).

Rows are only stored if `drift.keep_rows_share` is set: they may contain personal data, and they need space. A
row is stored with the id of its outcome, not with its prediction id, which would allow anyone to send its
label.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from tidegate.monitoring.feedback.prediction_ids import outcome_id

EVENT_ROWS: Final = 64
"""Maximum of rows in an event; a request with more rows becomes several events. An event of more than
`collector.line_bytes` is truncated, so this leaves 1 KiB for each row."""


def row_events(
    names: Sequence[str],
    values: Sequence[Sequence[Any]],
    prediction_ids: Sequence[str],
    *,
    trace_id: str,
    model: str,
    version: str,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The message and the fields of each event, of rows with a value for each of the named features."""
    for first in range(0, len(values), EVENT_ROWS):
        part = values[first : first + EVENT_ROWS]
        ids = [outcome_id(each) for each in prediction_ids[first : first + EVENT_ROWS]]
        yield (
            f"{len(part)} rows stored",
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
