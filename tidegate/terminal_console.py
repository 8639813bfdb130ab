"""The console to which every command prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich import console
from rich.console import ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text

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

    def say(self, text: str, style: str | None = None) -> None:
        """Print a sentence: the terminal wraps it, and no part of it is highlighted."""
        self.print(text, style=style, soft_wrap=True, highlight=False)

    def print_line(self, text: Text | str, indent: int = 0) -> None:
        """Print a line. A terminal gets it wrapped between words, everything else as one line.

        Args:
            text: the line.
            indent: of what does not fit on the first line of the terminal, in characters.
        """
        whole = Text(text) if isinstance(text, str) else text
        if not self.is_terminal:
            self.print(whole, soft_wrap=True)
            return
        first = whole.wrap(self, self.width)[0]
        self.print(first)
        rest = whole[len(first.plain.rstrip()) :]
        rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
        if rest.plain:
            self.print(Padding(rest, (0, 0, 0, indent), expand=False))


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
