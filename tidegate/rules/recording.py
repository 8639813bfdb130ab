"""The definition of a recording rule and of a group of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded series."""

    name: str  # `service:<what>:<window>` or `model:<what>:<window>`
    expression: str
    meaning: str  # its description in docs/reference/metrics.md


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that Prometheus evaluates in this order: a later one may use an earlier one."""

    name: str
    recordings: tuple[Recording, ...]
    interval_seconds: float | None = None


def with_expressions(
    groups: tuple[Group, ...], expression: Callable[[Recording], str]
) -> tuple[Group, ...]:
    """The groups, in which each series has the expression that the function returns for it."""
    return tuple(
        replace(
            group,
            recordings=tuple(
                replace(each, expression=expression(each)) for each in group.recordings
            ),
        )
        for group in groups
    )
