"""A model, as its monitoring sees it."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.monitoring.counting.reference import Reference


@dataclass(frozen=True, slots=True)
class Model:
    """A version of a model."""

    name: str
    version: str
    labels: tuple[str, ...]
    """Its classes, in order."""
    accuracy: float | None
    """On held-out rows; None if it was not measured."""
    reference: Reference
    unit: str = ""
    """That of a regressor's values; empty if unknown."""
