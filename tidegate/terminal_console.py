"""The console to which every command prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich import console
from rich.console import ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tidegate.printable_text import printable

NARROW: Final = 60
"""Below this width, the cells of a row do not stand beside each other."""


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
        """Render it, with every text printable, and a table with a header line by line if it is too wide."""
        if isinstance(renderable, Table) and renderable.show_header and self.width < NARROW:
            renderable = _line_by_line(renderable)
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


def _line_by_line(table: Table) -> RenderableType:
    """The cells of each row below each other, beside their headers."""
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True)
    lines.add_column(overflow="fold")
    for row in zip(*(column.cells for column in table.columns), strict=True):
        for column, cell in zip(table.columns, row, strict=True):
            if cell:
                lines.add_row(column.header, cell)
        lines.add_row()
    return Group(*(part for part in (table.title, lines, table.caption) if part))
