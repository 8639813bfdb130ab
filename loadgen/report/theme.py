"""The look of every report: the style of its plots, and its colours as a light and a dark theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

STYLE: Final[Any] = {  # matplotlib types its settings by the literals of their names
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "loadgen",
    # Names of features, labels, policies and traces are text: "$x_{$" is no formula, and two "$" no italics.
    "text.parse_math": False,
}
"""The style of every plot: `with rc_context(STYLE)` around drawing and saving."""


@dataclass(frozen=True, slots=True)
class Theme:
    """A palette. Colours that occur in the same plot also differ in lightness."""

    name: str
    paper: str
    ink: str
    faint: str
    grid: str
    planned: str
    sent: str
    answered: str
    p50: str
    p95: str
    p99: str
    bad: str
    replicas: str
    queue: str
    kinds: tuple[str, ...]
    """Of the kinds of request in turn."""


LIGHT: Final = Theme(
    name="light",
    paper="#ffffff",
    ink="#1c2430",
    faint="#68748a",
    grid="#e6eaf0",
    planned="#c9d2df",
    sent="#5b6b84",
    answered="#1668c4",
    p50="#7fb2e5",
    p95="#1668c4",
    p99="#0b3a75",
    bad="#d1344b",
    replicas="#12866f",
    queue="#c97a08",
    kinds=("#2a9d8f", "#3f6fd1", "#9b4fc0", "#c97a08", "#68748a"),
)
DARK: Final = Theme(
    name="dark",
    paper="#151b24",
    ink="#e8edf5",
    faint="#93a0b5",
    grid="#283140",
    planned="#3d4a5d",
    sent="#a9b6c9",
    answered="#58a6f5",
    p50="#2f6fb5",
    p95="#58a6f5",
    p99="#b6d9ff",
    bad="#ff6b7d",
    replicas="#3fc7a8",
    queue="#f0a93b",
    kinds=("#4fd1c0", "#7fa5ff", "#cf8df0", "#f0a93b", "#93a0b5"),
)
