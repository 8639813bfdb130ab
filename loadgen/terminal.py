"""The terminal to which the load generator prints."""

from __future__ import annotations

from collections.abc import Iterable

from rich import console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment


class Console(console.Console):
    """Prints the control characters of texts as their escapes.

    A server decides about parts of them, such as the message of an error: they give the terminal no orders.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render it, with every text printable."""
        for text, style, control in super().render(renderable, options):
            # Rich's own control codes, which move the cursor, come apart from texts.
            yield Segment(text if control else printable(text), style, control)


def printable(text: str) -> str:
    """Escape all control characters but the ends of lines."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )
