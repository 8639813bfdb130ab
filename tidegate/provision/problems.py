"""What stops a one-shot: sentences for the person who reads them."""

from __future__ import annotations


class ProvisionError(Exception):
    """Something is not as it must be. Its text is a sentence that says what, where, and what to do."""


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return error.strerror or str(error)
