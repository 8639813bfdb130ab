"""The recorded series of the status: parsed and formatted."""

from __future__ import annotations

import json

import pytest

from tidegate.stack.terminal.headline_series import (
    ARRIVALS,
    LATENCY,
    QUEUE,
    headline_text,
    parse_headline,
)


def test_the_values_are_parsed_without_nan() -> None:
    answer = {
        "data": {
            "result": [
                {"metric": {"__name__": ARRIVALS}, "value": [1, "12.34"]},
                {"metric": {"__name__": LATENCY}, "value": [1, "NaN"]},
                {"metric": {"__name__": QUEUE}, "value": [1, "3"]},
            ]
        }
    }
    assert parse_headline(json.dumps(answer)) == {ARRIVALS: 12.34, QUEUE: 3.0}


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"data": 1}', '{"data": {"result": [{}]}}'])
def test_an_invalid_response_has_no_values(text: str) -> None:
    assert parse_headline(text) == {}


def test_the_values_are_formatted_as_one_line() -> None:
    text = headline_text({ARRIVALS: 12.34, LATENCY: 0.1804, QUEUE: 3}, 0.5)
    assert text == "12.3 requests/s   p95 180 ms (objective 500 ms)   3 queued"
    assert headline_text({ARRIVALS: 0.0}, 0.5) == "0.0 requests/s   0 queued"
    assert headline_text({}, 0.5) == "no measurements yet"
