"""Appends a batch to the sink, and isolates the events that the sink does not accept.

A sink rejects an event (`Rejected`), or fails on the whole batch with an exception. An exception does not
show which event caused it, or whether an event did; bisection determines it. An event that fails while others
succeed is invalid; if every event fails, the sink is unavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tidegate.events.event import Event
from tidegate.store.base import Rejected, Sink, StoreUnavailableError
from tidegate.store.mapping_conflicts import move_conflicting_values

REASON_CHARACTERS: Final = 500


class _Result(NamedTuple):
    """The events that the sink rejected, and those on which it failed when they were sent alone."""

    rejected: list[Rejected]
    failed: list[Rejected]


def append_batch(sink: Sink, events: Sequence[Event]) -> list[Rejected]:
    """Append the events, and retry rejected ones after their conflicting values are moved.

    Returns:
        The events that the sink permanently rejects, in order.

    Raises:
        StoreUnavailableError: The sink is unavailable, or fails on every event.
        OSError: The sink is unavailable.
    """
    if not events:
        return []
    rejected, failed = _append(sink, events)
    if len(failed) == len(events):
        raise StoreUnavailableError(
            f"every event of the batch failed; the last one: {failed[-1].reason}"
        )
    repaired = {one.index: _repair(events[one.index]) for one in rejected}
    retries = [(index, event) for index, event in repaired.items() if event is not None]
    retried = _append(sink, [event for _, event in retries]) if retries else _Result([], [])
    return sorted(
        [
            *failed,
            *(one for one in rejected if repaired[one.index] is None),
            *(Rejected(retries[one.index][0], one.reason) for part in retried for one in part),
        ],
        key=lambda one: one.index,
    )


def _append(sink: Sink, events: Sequence[Event], first: int = 0) -> _Result:
    """Append events; `first` is the index of the first one in the batch."""
    try:
        rejected = sink.append(events)
    except (StoreUnavailableError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  one event must not block the others
        if len(events) == 1:
            reason = f"the sink failed on it: {error!r}"[:REASON_CHARACTERS]
            return _Result([], [Rejected(first, reason)])
    else:
        return _Result([Rejected(first + one.index, one.reason) for one in rejected], [])
    half = len(events) // 2
    left, right = _append(sink, events[:half], first), _append(sink, events[half:], first + half)
    return _Result(left.rejected + right.rejected, left.failed + right.failed)


def _repair(event: Event) -> Event | None:
    try:
        return move_conflicting_values(event)
    except Exception:  # noqa: BLE001  the event is rejected anyway; the repair is optional
        return None
