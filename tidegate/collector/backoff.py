"""How long to wait before a store that is away is asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FIRST_SECONDS: Final = 0.2
LONGEST_SECONDS: Final = 5.0


@dataclass(slots=True)
class Backoff:
    """Doubles from try to try, and takes a random part of it, so that several do not come at once.

    Attributes:
        random: a number from 0 to 1.
        tries: failures in a row.
    """

    random: Callable[[], float]
    tries: int = 0

    def failed(self) -> float:
        """Count a failure; the seconds to wait: a half to the whole of 0.2, 0.4, 0.8 … 5."""
        whole = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.tries, 16))
        self.tries += 1
        return whole * (0.5 + 0.5 * self.random())

    def succeeded(self) -> bool:
        """Begin anew; whether there were failures."""
        had = self.tries > 0
        self.tries = 0
        return had
