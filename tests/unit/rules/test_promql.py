"""Literals and fragments of PromQL."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import utils

from tidegate.rules.promql import duration, edge_pattern


def as_written(edge: float) -> str:
    """The edge as prometheus_client writes it."""
    return str(utils.floatToGoString(edge))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("edge", "spellings"),
    [
        (0.5, {"0.5"}),
        (1.0, {"1", "1.0"}),
        (2.5, {"2.5"}),
        (10.0, {"10", "10.0"}),
        (1e6, {"1e+06", "1000000", "1000000.0"}),
        (1e-5, {"1e-05"}),
        (0.1234567, {"0.1234567"}),
    ],
)
def test_the_pattern_matches_each_spelling_of_an_edge(edge: float, spellings: set[str]) -> None:
    # Prometheus anchors a pattern at both ends.
    pattern = re.compile(edge_pattern(edge))
    assert all(pattern.fullmatch(spelling) for spelling in spellings)


@given(st.floats(min_value=0.001, max_value=3600), st.floats(min_value=0.001, max_value=3600))
def test_the_pattern_matches_the_spelling_of_the_client_and_no_other_edge(
    edge: float, other: float
) -> None:
    pattern = re.compile(edge_pattern(edge))
    assert pattern.fullmatch(as_written(edge))
    assert bool(pattern.fullmatch(as_written(other))) == (edge == other)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(2, "2s"), (0.5, "500ms"), (90, "90s"), (300, "5m"), (7200, "2h"), (1e-9, "1ms")],
)
def test_a_duration_has_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text
