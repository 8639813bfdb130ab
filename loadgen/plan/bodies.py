"""Request bodies, made of real rows and encoded before the run, so that sending one is cheap."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import orjson

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.request_kinds import ROWS_PER_REQUEST, RequestKind

MAX_ROWS: Final = 4096
"""Only the first rows of a longer file are used."""
POOL_BODIES: Final = 512
"""Bodies made of each kind; requests share them."""
POOL_BYTES: Final = 48 * 2**20
"""Memory that the bodies of one kind may take; if they are large there are fewer of them."""


def read_rows(path: Path) -> list[bytes]:
    """The rows of a file of instances, one JSON object a line, each encoded again as compactly as can be.

    Raises:
        UsageError: the file cannot be read, has no row or a line that is not a JSON object.
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
            f"{path}: there is no such file of rows: name one by --rows; the artefact folder of the served "
            "model has one, samples.ndjson (of a joblib file: .tidegate/artefacts/*/samples.ndjson)"
        ) from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not rows:
        raise UsageError(f"{path}: has no row")
    return rows


def _row(path: Path, number: int, line: bytes) -> bytes:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}:{number}: is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{path}:{number}: is not a JSON object of features")
    return orjson.dumps(row)


class Bodies:
    """The bodies of each kind: body i holds the rows from row i on, wrapping round at the end."""

    def __init__(self, rows: list[bytes], kinds: Iterable[RequestKind]) -> None:
        self._pools = {kind: _pool(rows, kind) for kind in kinds}

    def of(self, kind: RequestKind, number: int) -> bytes:
        """The body of a request, by the number that the plan gave it."""
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
