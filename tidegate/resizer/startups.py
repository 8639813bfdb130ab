"""The start-ups that a resizer has measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from tidegate.resizer.contract import Replica

LATEST: Final = 20


class Startups:
    """The start-ups of the latest replicas, oldest first: seconds from the request to the first readiness.

    A replica that was started again has another `started_at`, and counts again; one that was not ready for a
    while does not.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=LATEST)
        self._seen: set[tuple[str, float]] = set()

    def update(self, replicas: Iterable[Replica], *, measure: bool = True) -> list[float]:
        """The start-ups, with those of these replicas, which are all that exist.

        Without `measure` those that are ready now never count: it is not known whether for the first time.
        """
        ready: list[tuple[float, float]] = []
        present: set[tuple[str, float]] = set()
        for one in replicas:
            key = (one.id, one.started_at)
            if one.ready_at is not None and key not in self._seen:
                ready.append((one.ready_at, one.ready_at - one.started_at))
            if one.ready_at is not None or key in self._seen:
                present.add(key)
        self._seen = present
        if measure:
            self._seconds += [seconds for _, seconds in sorted(ready) if seconds >= 0]
        return list(self._seconds)
