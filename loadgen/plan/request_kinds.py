"""The three kinds of request to a model, which differ in their rows, and where response times end.

With routes of its own, a scenario has these as kinds, by their names.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

RequestKind = Literal["light", "medium", "heavy"]
REQUEST_KINDS: Final[tuple[RequestKind, ...]] = get_args(RequestKind)
ROWS_PER_REQUEST: Final[dict[str, int]] = {"light": 1, "medium": 32, "heavy": 256}
"""Number of rows (instances) in the body of a request."""
Until: TypeAlias = Literal["last-byte", "first-byte"]
"""The byte of a response at which its response time ends."""
