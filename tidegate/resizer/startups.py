"""The start-ups that a resizer has measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tidegate.resizer.contract import Replica

LATEST: Final = 20


class Startups:
    """The start-ups of the latest replicas, oldest first: seconds from the request to the first readiness.

    A replica that was started again has another `started_at`, and counts again; one that was not ready for a
    while does not.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._seen: set[tuple[str, float]] = set()

    def update(self, replicas: Sequence[Replica], *, measure: bool = True) -> list[float]:
        """The start-ups, with those of these replicas, which are all that exist.

        Without `measure` those that are ready now never count: it is not known whether for the first time.
        """
        present = {(one.id, one.started_at): one.ready_at for one in replicas}
        ready = {key: at for key, at in present.items() if at is not None}
        if measure:
            new = sorted((at, at - key[1]) for key, at in ready.items() if key not in self._seen)
            measured = [seconds for _, seconds in new if seconds >= 0]
            self.seconds = [*self.seconds, *measured][-LATEST:]
        self._seen = (self._seen & present.keys()) | ready.keys()
        return self.seconds
