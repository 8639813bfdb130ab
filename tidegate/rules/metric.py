"""The definition of a metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as Prometheus stores it.

    Attributes:
        name: with its unit and, for a counter, `_total`; a histogram without `_bucket`, `_sum`, `_count`.
        kind: its type.
        labels: its own labels, besides `job`, `instance` and `replica`.
        meaning: its description in the documentation.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
