"""The sources that do not answer: a page shows what the others say, and names these in its banner."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from tidegate.runtime.http_client import HttpError
from tidegate.stack.supervisor.control_client import ControlError
from tidegate.store.base import QueryError, StoreUnavailableError

T = TypeVar("T")
D = TypeVar("D")
NAMES: Final[dict[type[Exception], str]] = {
    ControlError: "Supervisor",
    HttpError: "Prometheus",
    StoreUnavailableError: "Event store",
    QueryError: "Event store",
}


@dataclass(slots=True)
class Problems:
    """Collects them while a page reads.

    Attributes:
        found: the name of each source, and what is wrong; a source once.
    """

    found: list[dict[str, str]] = field(default_factory=list)

    async def of(self, reading: Awaitable[T], default: D) -> T | D:
        """What is read; the default if its source does not answer."""
        try:
            return await reading
        except tuple(NAMES) as error:
            self.add(error)
            return default

    def add(self, error: Exception) -> None:
        """Add the error of a source."""
        source = next(name for kind, name in NAMES.items() if isinstance(error, kind))
        if not any(one["source"] == source for one in self.found):
            self.found.append({"source": source, "text": str(error)})
