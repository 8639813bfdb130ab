"""Aggregations as JSON, and the answers as the contract's.

tantivy takes and gives Elasticsearch's own JSON; only the histogram of time is asked for otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tidegate.store import moments
from tidegate.store.base import (
    Aggregation,
    AggregationResult,
    Bucket,
    DateHistogram,
    Percentiles,
    Terms,
)
from tidegate.store.fields import Kind, catalogue

# How many terms each part hands in, so that a term which is rare in one is not lost for all.
_SHARD_TERMS: Final = 10


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a store counts by time.

    Attributes:
        histogram: the aggregation that counts by an interval.
        key_microseconds: how many microseconds one unit of its keys has.
    """

    histogram: Callable[[timedelta], dict[str, Any]]
    key_microseconds: int

    def request(self, wanted: Mapping[str, Aggregation]) -> dict[str, Any]:
        """The aggregations as JSON."""
        return {name: self._one(aggregation) for name, aggregation in wanted.items()}

    def results(
        self, wanted: Mapping[str, Aggregation], answer: Mapping[str, Any]
    ) -> dict[str, AggregationResult]:
        """What was answered, by the same names."""
        return {
            name: _result(aggregation, answer[name], self.key_microseconds)
            for name, aggregation in wanted.items()
        }

    def _one(self, wanted: Aggregation) -> dict[str, Any]:
        match wanted:
            case Terms(field=name, size=size):
                terms = {"field": name, "size": size, "shard_size": size * _SHARD_TERMS}
                return {"terms": terms}
            case DateHistogram(interval=interval):
                return self.histogram(interval)
            case Percentiles(field=name, percents=percents):
                return {"percentiles": {"field": name, "percents": list(percents)}}


def _result(
    wanted: Aggregation, answer: Mapping[str, Any], key_microseconds: int
) -> AggregationResult:
    match wanted:
        case Terms(field=name):
            boolean = catalogue()[name].kind is Kind.BOOLEAN
            found = [
                Bucket(bool(item["key"]) if boolean else item["key"], item["doc_count"])
                for item in answer["buckets"]
            ]
            return sorted(found, key=lambda bucket: (-bucket.count, bucket.key))
        case DateHistogram():
            return [
                Bucket(
                    moments.to_datetime(round(item["key"]) * key_microseconds), item["doc_count"]
                )
                for item in answer["buckets"]
            ]
        case Percentiles(percents=percents):
            values = answer["values"]
            return {percent: _number(values[str(float(percent))]) for percent in percents}


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
