"""Errors that the user can correct."""

from __future__ import annotations


class UsageError(ValueError):
    """An argument or a file is invalid. The message says what, where, and what to do."""
