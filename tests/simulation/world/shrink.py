"""Finds a shortest list that still fails (Zeller's delta debugging, ddmin)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def shrink(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """Return a part of the list, in its order, that fails, and without any one of its items does not."""
    kept = list(items)
    size = max(1, len(kept) // 2)
    while True:
        start, shorter = 0, False
        while start < len(kept):
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, shorter = rest, True
            else:
                start += size
        if size == 1 and not shorter:
            return kept
        size = max(1, size // 2)
