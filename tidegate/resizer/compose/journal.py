"""What the resizer tells: event lines on standard output, for it has no volume to write files to."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from tidegate.events import Level, Origin, encode, make_event
from tidegate.runtime.terminal_output import write_or_discard

DATASET: Final = "resizer"


@dataclass(slots=True)
class Journal:
    """Writes one line of JSON for each thing that happens."""

    origin: Origin
    out: BinaryIO = field(default_factory=lambda: sys.stdout.buffer)
    clock_ns: Callable[[], int] = time.time_ns
    _conditions: dict[str, str] = field(default_factory=dict, init=False)

    def note(
        self,
        action: str,
        message: str,
        *,
        level: Level = "info",
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Tell what happened.

        Args:
            action: `event.action`, one word for searches.
            message: a sentence for a person.
            level: `warn` for what is put right without a person, `error` for what is not.
            fields: further fields, below `tidegate.resizer`.
        """
        event = make_event(
            self.origin,
            DATASET,
            message,
            unix_ns=self.clock_ns(),
            level=level,
            fields={"event": {"action": action}, "tidegate": {"resizer": dict(fields or {})}},
        )
        write_or_discard(self.out, encode(event))

    def condition(self, action: str, message: str, *, level: Level = "warn") -> None:
        """Tell how something stands: once for each change, however often it is found so."""
        if self._conditions.get(action) != message:
            self._conditions[action] = message
            self.note(action, message, level=level)

    def over(self, action: str, message: str) -> None:
        """Tell that a condition has ended, if there was one."""
        if self._conditions.pop(action, None) is not None:
            self.note(action, message)
