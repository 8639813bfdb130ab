"""What a person must put right."""

from __future__ import annotations


class UsageError(ValueError):
    """An argument or a file is wrong. Its text says what, where, and what to do."""
