"""The error that stops a one-shot job."""

from __future__ import annotations


class ProvisionError(Exception):
    """A one-shot job cannot continue; any function here may raise it.

    The text is a sentence that says what failed, where, and what to do.
    """


def reason(error: OSError) -> str:
    """The reason of the operating system."""
    return error.strerror or str(error)
