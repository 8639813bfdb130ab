"""The three kinds of request: they differ in rows."""

from __future__ import annotations

from typing import Final, Literal, get_args

Kind = Literal["light", "medium", "heavy"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
ROWS: Final[dict[Kind, int]] = {"light": 1, "medium": 32, "heavy": 256}
"""Rows (instances) in one request's body."""
