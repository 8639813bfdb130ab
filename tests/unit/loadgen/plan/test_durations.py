"""Durations as text."""

import pytest

from tidegate.loadgen.plan.durations import duration_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 µs"),
        (0.000216, "216 µs"),
        (0.0033, "3.3 ms"),
        (0.035, "35 ms"),
        (0.9994, "999 ms"),
        (1.0, "1.00 s"),
        (61.25, "61.25 s"),
        (125.0, "125 s"),
    ],
)
def test_a_duration_is_formatted_with_its_unit(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
