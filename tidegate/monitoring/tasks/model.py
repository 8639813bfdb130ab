"""A model, as its monitoring sees it."""

from __future__ import annotations

from dataclasses import dataclass

from tidegate.monitoring.counting.reference import Reference


@dataclass(frozen=True, slots=True)
class Model:
    """A version of a model.

    Attributes:
        name: its name.
        version: its version.
        labels: its classes, in order.
        accuracy: on held-out rows; None if it was not measured.
        reference: the distributions at training.
        unit: the unit of a regressor's values; empty if unknown.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    accuracy: float | None
    reference: Reference
    unit: str = ""
