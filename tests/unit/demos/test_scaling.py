"""The end of the demo: its summary names the pages, and the stack keeps running until Ctrl-C."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tidegate.demos.scaling import _addresses, _wait_for_interrupt
from tidegate.settings import load
from tidegate.terminal_console import Console


class InterruptedConsole(Console):
    """Raises KeyboardInterrupt as soon as the first line is printed."""

    lines = 0

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **options)
        self.lines += 1
        if self.lines == 1:
            raise KeyboardInterrupt


def test_ctrl_c_stops_the_demo_as_soon_as_the_message_is_printed() -> None:
    output = io.StringIO()
    try:
        _wait_for_interrupt(InterruptedConsole(file=output))
    except KeyboardInterrupt:  # would end the test run instead of failing this test
        pytest.fail("the interrupt was not handled")
    assert "Ctrl-C stops it" in output.getvalue()


def test_the_summary_names_the_console_unless_the_stack_runs_none() -> None:
    shown = io.StringIO()
    for enabled in (True, False):
        settings = load(console={"enabled": enabled, "port": 31001})
        Console(file=shown).print(_addresses(settings, Path("runs")))
    assert shown.getvalue().count("http://127.0.0.1:31001") == 1
