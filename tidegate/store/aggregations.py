"""Translates aggregations to JSON, and JSON results back.

tantivy uses the JSON of Elasticsearch; only the date histogram differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tidegate.store.base import (
    Aggregation,
    Bucket,
    DateHistogram,
    Terms,
)
from tidegate.store.fields import Kind, catalogue
from tidegate.store.own_fields import VALUES, decoded, values_of
from tidegate.store.query import time_ranges

# Each shard returns this multiple of the requested terms, so that terms which are rare in one shard count.
_SHARD_TERMS: Final = 10


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a store expresses a date histogram.

    Attributes:
        histogram: Returns the JSON of a histogram with the given interval.
        key_microseconds: The unit of its bucket keys, in microseconds.
    """

    histogram: Callable[[timedelta], dict[str, Any]]
    key_microseconds: int

    def request(self, wanted: Mapping[str, Aggregation]) -> dict[str, Any]:
        """Return the aggregations as JSON."""
        return {name: self._one(aggregation) for name, aggregation in wanted.items()}

    def results(
        self, wanted: Mapping[str, Aggregation], response: Mapping[str, Any]
    ) -> dict[str, list[Bucket]]:
        """Return the results, by the names of the aggregations."""
        return {
            name: _result(aggregation, response[name], self.key_microseconds)
            for name, aggregation in wanted.items()
            if name in response  # Elasticsearch without a data stream has none
        }

    def _one(self, wanted: Aggregation) -> dict[str, Any]:
        match wanted:
            case Terms(field=name, size=size):
                terms = {"field": name, "size": size, "shard_size": size * _SHARD_TERMS}
                if name not in catalogue():
                    terms |= {"field": VALUES, "include": values_of(name)}
                return {"terms": terms}
            case DateHistogram(interval=interval):
                return self.histogram(interval)


def _result(
    wanted: Aggregation, response: Mapping[str, Any], key_microseconds: int
) -> list[Bucket]:
    match wanted:
        case Terms(field=name):
            found = [
                Bucket(_key(name, item["key"]), item["doc_count"]) for item in response["buckets"]
            ]
            return sorted(found, key=lambda bucket: (-bucket.count, bucket.key))
        case DateHistogram():
            return [
                Bucket(
                    time_ranges.to_datetime(round(item["key"]) * key_microseconds),
                    item["doc_count"],
                )
                for item in response["buckets"]
            ]


def _key(name: str, key: Any) -> Any:
    leaf = catalogue().get(name)
    if leaf is None:
        return decoded(key.removeprefix(f"{name}="))
    return bool(key) if leaf.kind is Kind.BOOLEAN else key
