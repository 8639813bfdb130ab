"""Selects the event files to delete: delivered completely, closed, and too old or too large in total.

Their age, and that of stored events, is by a clock that is trusted only after it has gone on for a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tidegate.collector.tail import LogFile

# A clock that has jumped ahead by more than this counts only after it has gone on for as long.
JUMP_SECONDS: Final = 3600.0


@dataclass(slots=True)
class SteadyClock:
    """The time by which something expires: what a clock deletes that is ahead for a minute, is gone.

    Also after a pause of the machine, or of the collector, that time comes an hour late. The checkpoint keeps
    it, since a clock may be ahead for longer than a process runs.

    Attributes:
        now: The time that is trusted, in seconds since 1970; 0 trusts the first.
        jumped_at: The time to which the clock has jumped ahead; 0 if it has not.
        went_back: Whether it went back by more than a jump, so that it may have been ahead before.
    """

    now: float = 0.0
    jumped_at: float = 0.0
    went_back: bool = False

    def read(self, clock: float) -> float:
        """Return the trusted time at a time of the clock."""
        self.went_back |= clock < self.now - JUMP_SECONDS
        trusted = not self.now or clock - self.now <= JUMP_SECONDS
        if trusted or 0 < self.jumped_at <= clock - JUMP_SECONDS:
            self.now, self.jumped_at = clock, 0.0
        elif not self.jumped_at or clock < self.jumped_at:
            self.jumped_at = clock
        return self.now


class Retention(NamedTuple):
    """How long files are kept, and how many bytes of them. See the settings `collector.keep_*`."""

    seconds: float
    size: int


def expired(
    files: Iterable[LogFile], offsets: Mapping[str, int], keep: Retention, now: float
) -> list[str]:
    """Return the names of the files to delete, oldest first; `offsets` are their delivered bytes."""
    done = [file for file in files if file.closed and offsets.get(file.name, 0) >= file.size]
    done.sort(key=lambda file: (file.modified, file.name))
    excess = sum(file.size for file in done) - keep.size
    names = []
    for file in done:
        if now - file.modified > keep.seconds or excess > 0:
            names.append(file.name)
            excess -= file.size
    return names
