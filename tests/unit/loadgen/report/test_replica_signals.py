"""Signals from Prometheus: queries, invalid responses, and the file."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from tidegate.loadgen.report.replica_signals import (
    EXPRESSIONS,
    Prometheus,
    PrometheusError,
    Signals,
    to_csv,
)


def answering(result: object) -> Prometheus:
    return Prometheus("http://p", lambda _: json.dumps({"data": {"result": result}}).encode())


def test_a_range_query_has_a_step_of_a_second_and_times_relative_to_the_start() -> None:
    asked: list[dict[str, list[str]]] = []

    def fetch(url: str) -> bytes:
        assert urlsplit(url).path == "/api/v1/query_range"
        asked.append(parse_qs(urlsplit(url).query))
        values = [[1000, "1"], [1001, "NaN"], [1002.5, "3"]]
        return json.dumps({"data": {"result": [{"values": values}]}}).encode()

    signals = Prometheus("http://p/", fetch).signals(1000, 1010)
    assert [one["query"][0] for one in asked] == list(EXPRESSIONS.values())
    assert {(one["start"][0], one["end"][0], one["step"][0]) for one in asked} == {
        ("1000", "1010", "1")
    }
    assert signals.ready == [(0, 1), (2.5, 3)]
    assert (signals.replicas_min, signals.replicas_max) == (1, 3)


def test_the_current_value_is_the_last_sample_or_none() -> None:
    assert answering([{"value": [1, "7"]}]).now("queue") == 7
    assert answering([{"value": [1, "NaN"]}]).now("queue") is None
    assert answering([]).now("queue") is None


@pytest.mark.parametrize("result", [[{}], [{"value": 3}], [{"value": [1, "x"]}], "text"])
def test_an_unexpected_response_is_an_error(result: object) -> None:
    with pytest.raises(PrometheusError, match="http://p: query failed"):
        answering(result).now("ready")


def test_a_missing_response_is_an_error() -> None:
    with pytest.raises(PrometheusError, match="query failed"):
        Prometheus("http://127.0.0.1:1").now("ready")


def test_the_file_has_a_line_for_each_sample() -> None:
    lines = list(to_csv(Signals(ready=[(0.5, 1.0)], queue=[(1.0, 2.5)])))
    assert lines == ["signal,at_s,value\n", "ready,0.500,1\n", "queue,1.000,2.5\n"]
