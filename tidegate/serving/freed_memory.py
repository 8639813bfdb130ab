"""Memory that loading has freed, given back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def return_freed_memory() -> None:
    """Give back what the C library keeps of freed memory; of another library than glibc's nothing.

    Loading a model frees much of what it took, in pieces: of the 85 MB of the flights' graph 55 (2026-11-29).
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
