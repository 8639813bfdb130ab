"""The demo's last step: it stays until the person stops it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from tidegate.demos.scaling import _stay


class Impatient(Console):
    """Of a person who presses Ctrl-C as soon as that can be read."""

    said = 0

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*objects, **options)
        self.said += 1
        if self.said == 1:
            raise KeyboardInterrupt


def test_ctrl_c_stops_it_from_the_moment_that_it_is_told() -> None:
    shown = io.StringIO()
    try:
        _stay(Impatient(file=shown))
    except KeyboardInterrupt:  # which would end the tests, not fail one
        pytest.fail("it was no wish to stop yet")
    assert "Ctrl-C stops it" in shown.getvalue()
