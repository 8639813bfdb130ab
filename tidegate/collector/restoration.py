"""Counts the events that come back after a part of the store was damaged or deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.collector.tail import Batch
from tidegate.store.base import Damage, Rejected


@dataclass(slots=True)
class Restoration:
    """The repeated delivery of all event files, whose delivered offsets were these before.

    The store still had `kept` events, and `new` ones since then were not delivered before.
    """

    damage: Damage
    offsets: Mapping[str, int]
    kept: int
    new: int = 0

    def count_new(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        """Count the events of a delivered batch that are delivered for the first time."""
        refused = {one.index for one in rejected}
        self.new += sum(
            place.offset >= self.offsets.get(place.file, 0)
            for index, (place, _) in enumerate(batch.events)
            if index not in refused
        )

    def result(self, stored: int) -> tuple[int, int | None]:
        """Return how many events are restored and lost (None if unknown), with `stored` in the store now."""
        restored = max(0, stored - self.kept - self.new)
        before = self.damage.events
        return restored, None if before is None else max(0, before - restored)
