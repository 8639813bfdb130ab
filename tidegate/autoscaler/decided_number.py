"""The number last decided, for those that ask for it: KEDA, and whoever reads the metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.autoscaler.types import Bounds


class NoNumberError(RuntimeError):
    """There is no number to act on. The text says why."""


@dataclass(slots=True)
class DecidedNumber:
    """The last decision's number of replicas while it is current.

    It is an integer within the bounds or an error, never a guess: whoever acts on it keeps the present number
    of replicas on an error, and would remove replicas on a number that means nothing.

    Attributes:
        bounds: a number outside of them is not accepted.
        max_age_seconds: without a further decision for this time there is no number.
        clock: seconds on a monotonic clock.
    """

    bounds: Bounds
    max_age_seconds: float
    clock: Callable[[], float] = time.monotonic
    _number: int | None = field(default=None, init=False)
    _is_dry_run: bool = field(default=False, init=False)
    _updated_at: float = field(default=0.0, init=False)
    _updated: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def update(self, number: int, *, dry_run: bool = False) -> None:
        """Take over the number of a decision; one outside of the bounds is ignored."""
        if self.bounds.clamp(number) != number:
            return
        self._number, self._is_dry_run, self._updated_at = number, dry_run, self.clock()
        self._updated.set()
        self._updated = asyncio.Event()

    def get(self, *, accept_dry_run: bool = False) -> int:
        """The number.

        Args:
            accept_dry_run: return also a number that was decided in a dry run, for those who only show it.

        Raises:
            NoNumberError: nothing was decided yet or for too long, or it was decided in a dry run.
        """
        if self._number is None:
            raise NoNumberError("the autoscaler has not decided yet")
        age = self.clock() - self._updated_at
        if age > self.max_age_seconds:
            raise NoNumberError(f"the autoscaler has not decided for {age:.0f} s")
        if self._is_dry_run and not accept_dry_run:
            raise NoNumberError("the autoscaler only records its decisions (dry run)")
        return self._number

    @property
    def last(self) -> int | None:
        """The last number, however old; None before the first and in a dry run."""
        return None if self._is_dry_run else self._number

    @property
    def next_decision(self) -> asyncio.Event:
        """Set by the next decision; take it before `get`, so that none is missed in between."""
        return self._updated
