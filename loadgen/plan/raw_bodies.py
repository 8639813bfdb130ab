"""Request bodies that are sent as they are in a file: for any service, not only for one that takes rows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.request_kinds import RequestKind

MAX_BODIES: Final = 4096
"""Maximum number of bodies read from a file."""
MAX_BYTES: Final = 256 * 2**20
"""Maximum total size of the bodies of a file; they stay in memory during the run."""


def read_bodies(path: Path) -> list[bytes]:
    """Read the bodies of a file, one per line, without the end of the line; empty lines are skipped.

    Raises:
        UsageError: the file cannot be read, is empty or too large.
    """
    bodies: list[bytes] = []
    size = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if len(bodies) == MAX_BODIES:
                    break
                if body := line.rstrip(b"\r\n"):
                    size += len(body)
                    if size > MAX_BYTES:
                        raise UsageError(
                            f"--body {path}: more than {MAX_BYTES:,} bytes; use a file with fewer bodies"
                        )
                    bodies.append(body)
    except OSError as error:
        raise UsageError(f"--body {path}: cannot be read: {error.strerror}") from error
    if not bodies:
        raise UsageError(f"--body {path}: contains no body; write one per line")
    return bodies


class RawBodies:
    """Bodies that requests take in turn, whatever their kind; without any, requests have no body."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._bodies = bodies

    def of(self, kind: RequestKind, number: int) -> bytes | None:
        """Return the body of a request by its number in the plan."""
        del kind
        return self._bodies[number % len(self._bodies)] if self._bodies else None
