"""A rate limit on the removal of replicas.

A client that alternates between the maximum and the minimum stops working replicas and starts others, which
load a model first. Requests for more replicas are always granted: `replicas.max` bounds them, and only as
many can be added again as were removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.contract import ReplicaStatus, ResizeLimitedError, Resizer

# From the maximum to the minimum four times in a row: a person who tries something out.
BURST: Final = 4
# Twice the rate of an autoscaler that removes a quarter each 30 s and scales up at once.
PER_MINUTE: Final = 2
MIN_PER_MINUTE: Final = 6


@dataclass(slots=True)
class RateLimitedResizer:
    """A resizer that limits the removal of replicas by a token bucket, one token per replica.

    Its clock is monotonic, in seconds.
    """

    inner: Resizer
    max_replicas: int
    clock: Callable[[], float]
    _tokens: float = field(init=False)
    _refilled_at: float = field(init=False)
    # One request at a time: what one removes counts before the next is granted.
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self) -> None:
        self._tokens, self._refilled_at = self._burst, self.clock()

    async def status(self) -> ReplicaStatus:
        """The replicas now."""
        return await self.inner.status()

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Pass the request to the inner resizer if the limit allows the removal.

        Raises:
            ResizeLimitedError: the limit does not allow it.
            ResizeRefusedError: from the inner resizer.
            ResizerUnavailableError: from the inner resizer.
        """
        async with self._turn:
            removed = max(0, (await self.inner.status()).desired - desired)
            self._refill()
            missing = min(removed, self._burst) - self._tokens
            if removed and missing > 0:
                raise ResizeLimitedError(
                    f"replicas are removed too often: at most {self._burst} at once, and {self._per_minute}"
                    " more each minute",
                    60 * missing / self._per_minute,
                )
            status = await self.inner.resize(desired, slots)
            self._tokens -= removed
            return status

    def _refill(self) -> None:
        now = self.clock()
        gained = (now - self._refilled_at) * self._per_minute / 60
        self._tokens, self._refilled_at = min(self._burst, self._tokens + gained), now

    @property
    def _burst(self) -> int:
        return BURST * self.max_replicas

    @property
    def _per_minute(self) -> int:
        return max(MIN_PER_MINUTE, PER_MINUTE * self.max_replicas)
