from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.store.search.waterfall import Span, draw, duration, nested, span_of

MS = 1_000_000


def span(
    name: str, parent: str = "", start: int = 0, length: int = 10, failed: bool = False
) -> Span:
    return Span(name, parent, name, "n", start * MS, length * MS, failed)


def test_spans_are_nested_by_parent_and_drawn_to_scale() -> None:
    spans = [
        span("model", "request", 40, 40, failed=True),
        span("request", "", 0, 100),
        span("wait", "request", 0, 40),
        span("onnx", "model", 60, 20),
    ]
    lines = draw(spans, 60)
    bars = [line.plain for line in lines]
    assert [bar.split()[0] for bar in bars] == ["request", "wait", "model", "onnx"]
    assert all(len(bar) <= 60 for bar in bars)
    whole = bars[0].count("━")
    assert bars[1].count("━") == pytest.approx(0.4 * whole, abs=1)
    assert bars[3].index("━") - bars[0].index("━") == pytest.approx(0.6 * whole, abs=1)
    assert "red" in str(lines[2].spans)


@given(
    st.lists(
        st.builds(
            Span,
            st.sampled_from(["", "a", "b", "c"]),
            st.sampled_from(["", "a", "b", "c", "d"]),
            st.just("name"),
            st.just("node"),
            st.integers(0, 10**19),
            st.integers(0, 10**12),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_each_span_is_drawn_once_for_any_parents(spans: list[Span]) -> None:
    assert sorted(id(one) for _, one in nested(spans)) == sorted(id(one) for one in spans)
    assert len(draw(spans, 40)) == len(spans)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(0, "0 ns"), (999, "999 ns"), (1500, "1.5 µs"), (35_000_000, "35 ms"), (1_500_000_000, "1.5 s"),
     (123_456_789, "123 ms"), (90_000_000_000, "90 s"), (4_000_000_000_000, "4000 s")],
)  # fmt: skip
def test_durations_are_written_with_three_digits(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_a_span_event_without_a_start_ends_at_its_timestamp() -> None:
    event = {
        "@timestamp": "2026-03-01T00:00:01Z",
        "event": {"duration": 250_000_000},
        "message": "m",
    }
    found = span_of(event)
    assert found.end_ns - found.start_ns == 250_000_000
    assert found.end_ns % 10**9 == 0
    assert found.name == "m"


def test_a_span_event_with_invalid_values_is_an_empty_span() -> None:
    assert span_of({"event": {"duration": "long"}, "span": 5}) == Span("", "", "", "", 0, 0, False)


def test_a_span_without_its_parent_is_a_root() -> None:
    assert [(depth, one.name) for depth, one in nested([span("a", "elsewhere")])] == [(0, "a")]
