"""Appends a batch to the sink, and finds the events in it that the sink cannot take.

A sink refuses an event by name (`Rejected`), or fails on what it was given with an exception. The second says
nothing about which event it is, or whether it is an event at all: halves find out. An event that the sink
fails on while it takes others is at fault; where it fails on every one, the sink is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tidegate.collector.sink import Sink
from tidegate.events import Event
from tidegate.store.base import Rejected, StoreUnavailableError
from tidegate.store.fitting import move_misfits

REASON_CHARACTERS: Final = 500


class _Answer(NamedTuple):
    """What became of events: those that the sink refused, and those that it failed on, each alone."""

    refused: list[Rejected]
    failed: list[Rejected]


def append(sink: Sink, events: Sequence[Event]) -> list[Rejected]:
    """Append the events, and those that were refused once more if they can be made to fit.

    Returns:
        Those that the sink will never take, in order.

    Raises:
        StoreUnavailableError: the sink is away, or fails on every event.
        OSError: the same.
    """
    if not events:
        return []
    refused, failed = _append(sink, events)
    if len(failed) == len(events):
        raise StoreUnavailableError(
            f"every event of the batch failed; for the last, {failed[-1].reason}"
        )
    fitted = {one.index: _fitted(events[one.index]) for one in refused}
    again = [(index, event) for index, event in fitted.items() if event is not None]
    late = _append(sink, [event for _, event in again]) if again else _Answer([], [])
    return sorted(
        [
            *failed,
            *(one for one in refused if fitted[one.index] is None),
            *(Rejected(again[one.index][0], one.reason) for part in late for one in part),
        ],
        key=lambda one: one.index,
    )


def _append(sink: Sink, events: Sequence[Event], first: int = 0) -> _Answer:
    """Append; `first` is the number of the first event."""
    try:
        rejected = sink.append(events)
    except (StoreUnavailableError, OSError):
        raise
    except Exception as error:  # noqa: BLE001  one event must never hold up all the others
        if len(events) == 1:
            reason = f"the sink failed on it: {error!r}"[:REASON_CHARACTERS]
            return _Answer([], [Rejected(first, reason)])
    else:
        return _Answer([Rejected(first + one.index, one.reason) for one in rejected], [])
    half = len(events) // 2
    left, right = _append(sink, events[:half], first), _append(sink, events[half:], first + half)
    return _Answer(left.refused + right.refused, left.failed + right.failed)


def _fitted(event: Event) -> Event | None:
    try:
        return move_misfits(event)
    except Exception:  # noqa: BLE001  it was refused for what it is: it need not be made to fit
        return None
