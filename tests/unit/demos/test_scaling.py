"""The end of the demo: the stack keeps running until Ctrl-C."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tidegate.demos.scaling import _wait_for_interrupt
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
