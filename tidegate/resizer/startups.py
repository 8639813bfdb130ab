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

    With a `longest`, those that are ready at the first look, of which it is not known whether for the first
    time, count if they took no longer, and until another is measured: they may have waited for their image.
    """

    def __init__(self, longest: float | None = None) -> None:
        self.seconds: list[float] = []
        self._longest = longest
        self._unsure = False
        self._seen: set[tuple[str, float]] = set()

    def update(self, replicas: Sequence[Replica]) -> list[float]:
        """The start-ups, with those of these replicas, which are all that exist."""
        present = {(one.id, one.started_at): one.ready_at for one in replicas}
        ready = {key: at for key, at in present.items() if at is not None}
        new = sorted((at, at - key[1]) for key, at in ready.items() if key not in self._seen)
        longest, self._longest = self._longest, None
        if measured := [s for _, s in new if 0 <= s <= (math.inf if longest is None else longest)]:
            known = [] if self._unsure else self.seconds
            self.seconds, self._unsure = [*known, *measured][-LATEST:], longest is not None
        self._seen = (self._seen & present.keys()) | ready.keys()
        return self.seconds
