"""The most recent ids, to count nothing twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable


class RecentIds:
    """The last `max_ids` ids.

    They are stored as hashes of 64 bits, which need half the memory: 8 MiB for 100,000. The probability that
    a new id has the hash of one of 100,000 others is 5·10⁻¹⁵.
    """

    def __init__(self, max_ids: int) -> None:
        self._max_ids = max_ids
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def add(self, name: Hashable) -> bool:
        """Add an id; False if it is already there."""
        key = hash(name)
        if key in self._known:
            return False
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > self._max_ids:
            self._known.remove(self._order.popleft())
        return True
