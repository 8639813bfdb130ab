"""Durations and rates of the command line."""

from __future__ import annotations

import pytest

from tidegate.loadgen.plan.units import rate, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("2m", 120), ("500ms", 0.5), ("1h", 3600), ("7", 7), (" .5 s", 0.5)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, value: float) -> None:
    assert seconds(0.1, 3600)(text) == value


@pytest.mark.parametrize("text", ["", "fast", "-1s", "1d", "2h", "10ms", "nan"])
def test_a_duration_outside_the_limits_is_an_error(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"expected a duration such as 500ms.*from 0.1 s to 3600 s"
    ):
        seconds(0.1, 3600)(text)


@pytest.mark.parametrize("text", ["", "0", "-3", "1e9", "200000", "nan", "5/d"])
def test_what_is_no_rate_is_an_error(text: str) -> None:
    assert rate("1.5") == 1.5
    with pytest.raises(ValueError, match=r"expected requests per second|could not convert"):
        rate(text)
