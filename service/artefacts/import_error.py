"""Why a model file cannot be served."""

from __future__ import annotations


class ImportModelError(Exception):
    """A file cannot be served; the text names it or its part, the reason and the remedy."""
