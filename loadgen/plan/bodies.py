"""Request bodies, encoded before the run to make sending cheap: of rows, or as they are in a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

import orjson

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.request_kinds import ROWS_PER_REQUEST

MAX_LINES: Final = 4096
"""Maximum number of rows or bodies read from a file."""
MAX_BYTES: Final = 256 * 2**20
"""Maximum total size of the bodies of a file; they stay in memory during the run."""
POOL_BODIES: Final = 512
"""Maximum number of bodies of rows of each kind; requests share them."""
POOL_BYTES: Final = 48 * 2**20
"""Maximum total size of the bodies of rows of one kind."""
ROWS_HINT: Final = (
    "; set --rows to a file of rows, such as samples.ndjson in the artefact folder of the served model (for "
    "a joblib file: .tidegate/artefacts/*/samples.ndjson); for an application of your own, --body to a file "
    "of request bodies, or --method GET with --path"
)

Bodies: TypeAlias = Mapping[str, list[bytes]]
"""The bodies of each kind of request, which requests share; of an empty kind, requests have no body."""


def bodies_of_rows(rows: list[bytes], kinds: Iterable[str]) -> Bodies:
    """Return bodies for the model service. Body i of a kind has the rows from row i on, wrapping around."""
    return {kind: _pool(rows, kind) for kind in kinds}


def read_rows(path: Path) -> list[bytes]:
    """Read the rows of a file, one JSON object per line, and encode each compactly.

    Raises:
        UsageError: the file cannot be read, is empty, or has a line that is not a JSON object.
    """
    lines = _lines(path, f"{path}", ROWS_HINT)
    rows = [_row(path, number, line) for number, line in lines if line.strip()]
    if not rows:
        raise UsageError(f"{path}: contains no rows")
    return rows


def read_bodies(path: Path) -> list[bytes]:
    """Read the bodies of a file, one per line, without the end of the line; empty lines are skipped.

    Raises:
        UsageError: the file cannot be read, is empty or too large.
    """
    bodies = [line for _, line in _lines(path, f"--body {path}")]
    if not bodies:
        raise UsageError(f"--body {path}: contains no body; write one per line")
    return bodies


def _lines(path: Path, name: str, hint: str = "") -> Iterator[tuple[int, bytes]]:
    """Yield the number and the text of the first lines that are not empty, without their ends."""
    size = 0
    try:
        with path.open("rb") as file:
            stripped = ((number, line.rstrip(b"\r\n")) for number, line in enumerate(file, 1))
            filled = ((number, line) for number, line in stripped if line)
            for number, line in islice(filled, MAX_LINES):
                size += len(line)
                if size > MAX_BYTES:
                    raise UsageError(
                        f"{name}: more than {MAX_BYTES:,} bytes; use a file with fewer lines"
                    )
                yield number, line
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}{hint}") from error


def _row(path: Path, number: int, line: bytes) -> bytes:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{number}: invalid JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}:{number}: not a JSON object of features")
    return orjson.dumps(row)


def _pool(rows: list[bytes], kind: str) -> list[bytes]:
    pool: list[bytes] = []
    size = 0
    for start in range(min(len(rows), POOL_BODIES)):
        chosen = b",".join(
            rows[(start + offset) % len(rows)] for offset in range(ROWS_PER_REQUEST[kind])
        )
        body = b'{"instances":[%b],"work":"%b"}' % (chosen, kind.encode())
        size += len(body)
        if pool and size > POOL_BYTES:
            break
        pool.append(body)
    return pool
