"""The start-ups that a resizer has measured."""

from __future__ import annotations

import math
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
        self._looked = self._unsure = False

    def update(self, replicas: Sequence[Replica], longest: float = math.inf) -> list[float]:
        """The start-ups, with those of these replicas, which are all that exist.

        Of those that are ready at the first look it may not be known whether for the first time: they
        count if they took no more than `longest` seconds, and until another is measured, as they may have
        waited for their image.
        """
        present = {(one.id, one.started_at): one.ready_at for one in replicas}
        ready = {key: at for key, at in present.items() if at is not None}
        new = sorted((at, at - key[1]) for key, at in ready.items() if key not in self._seen)
        limit, self._looked = math.inf if self._looked else longest, True
        if measured := [seconds for _, seconds in new if 0 <= seconds <= limit]:
            known = [] if self._unsure else self.seconds
            self.seconds, self._unsure = [*known, *measured][-LATEST:], limit < math.inf
        self._seen = (self._seen & present.keys()) | ready.keys()
        return self.seconds
