"""The definition of a recording rule and of a group of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded series.

    Attributes:
        name: `service:<what>:<window>` or `model:<what>:<window>`.
        expression: its PromQL.
        meaning: its description in docs/reference/metrics.md.
    """

    name: str
    expression: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that Prometheus evaluates in this order: a later one may use an earlier one."""

    name: str
    recordings: tuple[Recording, ...]
    interval_seconds: float | None = None
