"""Texts that others wrote are shown as they are: no markup, and no orders to the terminal."""

from __future__ import annotations

import io

import pytest
from rich.table import Table
from rich.text import Text

from tidegate.runtime.event_log import Entry, Terminal
from tidegate.terminal.status_view import line
from tidegate.terminal_console import Console

HOSTILE = "[red]a[/] :boom: \x1b[2J\x1b]0;title\x07 \u202egnp.exe"
SHOWN = r"[red]a[/] :boom: \x1b[2J\x1b]0;title\x07 \u202egnp.exe"


def table(text: str) -> Table:
    built = Table(title=text)
    built.add_column(text)
    built.add_row(text)
    return built


@pytest.mark.parametrize("made", [str, Text, table])
def test_text_is_neither_markup_nor_an_order_to_the_terminal(
    made: type[str] | type[Text],
) -> None:
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system=None).print(
        made(HOSTILE.replace("\x07", ""))
    )
    assert SHOWN.replace(r"\x07", "") in out.getvalue()


def test_an_entry_of_a_log_is_one_printable_line() -> None:
    entry = Entry(0.0, "warn", "replica", "said", f"{HOSTILE}\n2 lines")
    out, shown = io.StringIO(), io.StringIO()
    Terminal(out)(entry)
    Console(file=shown, width=200).print(line(entry))
    assert out.getvalue() == rf"1970-01-01T00:00:00.000000Z warn replica: {SHOWN}\n2 lines" + "\n"
    assert r"\x1b[2J" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()


TRACE = "trace.id:8ede65e93b3d21267d1ab1ea79ec4dde"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("short", ["short"]),
        (f"16:28:42 GET /cakes 200  {TRACE}", ["16:28:42 GET /cakes 200", f"    {TRACE}"]),
        (
            "16:28:42 one replica should keep the wait below the objective of 0.5 s",
            ["16:28:42 one replica should keep the wait", "    below the objective of 0.5 s"],
        ),
    ],
)
def test_a_terminal_gets_a_line_wrapped_between_words_and_a_pipe_gets_it_whole(
    line: str, shown: list[str]
) -> None:
    out, pipe = io.StringIO(), io.StringIO()
    terminal = Console(file=out, width=46, force_terminal=True, color_system=None)
    terminal.print_line(Text(line), indent=4)
    assert [one.rstrip() for one in out.getvalue().splitlines()] == shown
    Console(file=pipe, width=46).print_line(line, indent=4)
    assert pipe.getvalue() == f"{line}\n"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (60, ["name       reason", "flights-1  the rate rises", "flights-2"]),
        (40, ["name    flights-1", "reason  the rate rises", "", "name    flights-2"]),
    ],
)
def test_a_table_with_a_header_is_shown_line_by_line_in_a_narrow_terminal(
    width: int, shown: list[str]
) -> None:
    table = Table("name", "reason", box=None, pad_edge=False)
    table.add_row("flights-1", "the rate rises")
    table.add_row("flights-2", "")
    out = io.StringIO()
    Console(file=out, width=width).print(table)
    assert [one.rstrip() for one in out.getvalue().splitlines()][: len(shown)] == shown
