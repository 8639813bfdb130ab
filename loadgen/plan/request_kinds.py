"""The three kinds of request, which differ in their number of rows, and where their response times end."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

RequestKind = Literal["light", "medium", "heavy"]
REQUEST_KINDS: Final[tuple[RequestKind, ...]] = get_args(RequestKind)
ROWS_PER_REQUEST: Final[dict[RequestKind, int]] = {"light": 1, "medium": 32, "heavy": 256}
"""Number of rows (instances) in the body of a request."""
Until: TypeAlias = Literal["last-byte", "first-byte"]
"""The byte of a response at which its response time ends."""
