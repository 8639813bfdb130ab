"""A limit on how often replicas are removed.

A client that asks for the most and the fewest replicas in turn stops replicas that work, and starts others
that load a model first. More replicas are always granted: they are bounded by `replicas.max`, and only as
many can be added again as were removed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.contract import ReplicaStatus, ResizeLimitedError, Resizer

# From the most to the fewest replicas four times in a row: a person who tries something out.
BURST: Final = 4
# Twice what an autoscaler removes that goes down by a quarter each 30 s and up at once.
PER_MINUTE: Final = 2
LEAST_PER_MINUTE: Final = 6


@dataclass(slots=True)
class LimitedResizer:
    """A resizer that removes replicas no more often than a token bucket allows, one token a replica.

    Attributes:
        inner: what resizes.
        most: `replicas.max`.
        clock: in seconds, on a clock that only goes forward.
    """

    inner: Resizer
    most: int
    clock: Callable[[], float]
    _tokens: float = field(init=False)
    _filled: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens, self._filled = self._burst, self.clock()

    async def status(self) -> ReplicaStatus:
        """The replicas now."""
        return await self.inner.status()

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Ask the inner resizer, if this removes no more replicas than may be removed now.

        Raises:
            ResizeLimitedError: it does.
            ResizeRefusedError: as the inner one.
            ResizerUnavailableError: as the inner one.
        """
        removed = max(0, (await self.inner.status()).desired - desired)
        self._fill()
        missing = min(removed, self._burst) - self._tokens
        if removed and missing > 0:
            raise ResizeLimitedError(
                f"replicas are removed too often: at most {self._burst} at once, and {self._per_minute} more"
                " each minute",
                60 * missing / self._per_minute,
            )
        answer = await self.inner.resize(desired, slots)
        self._tokens -= removed
        return answer

    def _fill(self) -> None:
        now = self.clock()
        gained = (now - self._filled) * self._per_minute / 60
        self._tokens, self._filled = min(self._burst, self._tokens + gained), now

    @property
    def _burst(self) -> int:
        return BURST * self.most

    @property
    def _per_minute(self) -> int:
        return max(LEAST_PER_MINUTE, PER_MINUTE * self.most)
