"""The progress of simulations, for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.progress import track

from tidegate.console import Console
from tidegate.lab.simulator.score import Score


def with_progress(scores: Iterable[Score], total: int) -> Iterable[Score]:
    """Show a progress bar in a terminal, removed at the end."""
    console = Console(stderr=True)
    return track(
        scores,
        "simulating",
        total=total,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
