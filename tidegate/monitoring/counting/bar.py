"""A bar of a drawn distribution, without numpy, which the console does not need."""

from __future__ import annotations

from typing import NamedTuple


class Bar(NamedTuple):
    """A bin as a person reads it, and the fraction of the rows in it at training and now."""

    name: str
    then: float
    now: float

    @property
    def gain(self) -> float:
        """By how much the fraction has grown since training."""
        return self.now - self.then
