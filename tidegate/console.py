"""The console to which every command prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from tidegate.printable_text import printable


class Console(console.Console):
    """Prints text as it is, and control characters as their escapes.

    Whoever sends a request, names a feature or writes a log line decides about texts that a person reads
    here: they are neither rich's markup or emoji codes nor orders to the terminal. A style is given by
    `Text` or the option `style`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **options})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render it, with every text printable."""
        for text, style, control in super().render(renderable, options):
            # Rich's own control codes, which move the cursor, come apart from texts.
            yield Segment(text if control else _printable_lines(text), style, control)


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
