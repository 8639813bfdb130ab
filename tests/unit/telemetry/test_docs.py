"""docs/reference/python-api.md documents every function and setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate import telemetry

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "python-api.md").read_text(
    encoding="utf-8"
)


@pytest.mark.parametrize("name", [name for name in telemetry.__all__ if name != "Telemetry"])
def test_every_function_is_documented(name: str) -> None:
    assert f"{name}(" in TEXT
