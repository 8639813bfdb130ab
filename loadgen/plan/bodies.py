"""Request bodies of real rows, encoded before the run to make sending cheap."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import orjson

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.request_kinds import ROWS_PER_REQUEST, RequestKind

MAX_ROWS: Final = 4096
"""Maximum number of rows read from a file."""
POOL_BODIES: Final = 512
"""Maximum number of bodies of each kind; requests share them."""
POOL_BYTES: Final = 48 * 2**20
"""Maximum total size of the bodies of one kind."""


def read_rows(path: Path) -> list[bytes]:
    """Read the rows of a file, one JSON object per line, and encode each compactly.

    Raises:
        UsageError: the file cannot be read, is empty, or has a line that is not a JSON object.
    """
    rows: list[bytes] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if len(rows) == MAX_ROWS:
                    break
                if line.strip():
                    rows.append(_row(path, number, line))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} does not exist: set --rows to a file of rows, such as samples.ndjson in the artefact "
            "folder of the served model (for a joblib file: .tidegate/artefacts/*/samples.ndjson); for an "
            "application of your own, --body to a file of request bodies, or --method GET with --path"
        ) from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not rows:
        raise UsageError(f"{path}: contains no rows")
    return rows


def _row(path: Path, number: int, line: bytes) -> bytes:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{number}: invalid JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}:{number}: not a JSON object of features")
    return orjson.dumps(row)


class Bodies:
    """The bodies of each kind of request. Body i has the rows from row i on, wrapping around."""

    def __init__(self, rows: list[bytes], kinds: Iterable[RequestKind]) -> None:
        self._pools = {kind: _pool(rows, kind) for kind in kinds}

    def of(self, kind: RequestKind, number: int) -> bytes:
        """Return the body of a request by its number in the plan."""
        pool = self._pools[kind]
        return pool[number % len(pool)]


def _pool(rows: list[bytes], kind: RequestKind) -> list[bytes]:
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
