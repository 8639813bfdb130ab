"""The three kinds of request: they differ in rows."""

from __future__ import annotations

from typing import Final, Literal, get_args

RequestKind = Literal["light", "medium", "heavy"]
REQUEST_KINDS: Final[tuple[RequestKind, ...]] = get_args(RequestKind)
ROWS_PER_REQUEST: Final[dict[RequestKind, int]] = {"light": 1, "medium": 32, "heavy": 256}
"""Rows (instances) in one request's body."""
