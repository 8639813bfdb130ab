"""What both demos print: headings, and what was checked."""

from __future__ import annotations

from rich.text import Text

from tidegate.terminal_console import Console


def heading(console: Console, text: str) -> None:
    """Print the heading of a step."""
    console.rule(Text(text, style="bold"))


def result(console: Console, text: str, *, passed: bool) -> None:
    """Print what was checked, and whether it holds."""
    mark = ("✓", "green") if passed else ("✗", "red")
    console.print(Text.assemble(mark, f" {text}"), highlight=False)
