"""docs/reference/python-api.md documents every function and setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate import telemetry
from tidegate.settings import setting_names
from tidegate.telemetry.propagation import MAX_ARRIVAL_AGE_NS
from tidegate.telemetry.request_record import MAX_SPANS
from tidegate.telemetry.telemetry import FLUSH_SECONDS

TEXT = (Path(__file__).parents[3] / "docs" / "reference" / "python-api.md").read_text(
    encoding="utf-8"
)
SETTINGS = [name for name in setting_names() if name.startswith("telemetry.")]


@pytest.mark.parametrize("name", [name for name in telemetry.__all__ if name != "Telemetry"])
def test_every_function_is_documented(name: str) -> None:
    assert f"{name}(" in TEXT


@pytest.mark.parametrize("name", [name for name in SETTINGS if "file" not in name])
def test_every_setting_of_telemetry_is_documented(name: str) -> None:
    assert f"`{name}`" in TEXT


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"at most {MAX_SPANS} child spans" in TEXT
    assert f"at most {FLUSH_SECONDS:.0f} s" in TEXT
    assert f"more than {MAX_ARRIVAL_AGE_NS // 10**9} s back" in TEXT
