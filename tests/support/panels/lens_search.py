"""What a panel of Kibana asks of Elasticsearch, and what it draws from the response.

Lens translates its columns in the browser, and Kibana has no API that returns the result
(elastic/kibana#175487). The translation here is that of our columns: groups become nested aggregations in the
order of the columns, a count is the number of documents of a bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from support.panels.kibana_dashboards import Panel
from tidegate.store.fields import TIMESTAMP

INTERVAL: Final = "30m"
"""Kibana's automatic interval for 24 hours."""
HITS: Final = 10


def search_body(panel: Panel, since: str) -> dict[str, Any]:
    """The body of `_search` for a panel, from this time until now."""
    # As Kibana does: it sends a Lucene query unchanged, and omits an empty one.
    filters: list[dict[str, Any]] = [{"range": {TIMESTAMP: {"gte": since, "lte": "now"}}}]
    if panel.query:
        filters.append({"query_string": {"query": panel.query, "analyze_wildcard": True}})
    body: dict[str, Any] = {"query": {"bool": {"filter": filters}}, "track_total_hits": True}
    if panel.kind == "search":
        return {**body, "size": HITS, "sort": [{TIMESTAMP: {"order": "desc"}}]}
    aggregations = _aggregations(panel.columns)
    return {**body, "size": 0, **({"aggs": aggregations} if aggregations else {})}


def rows(panel: Panel, response: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a panel draws: the keys of each innermost group and its metrics, by column.

    A metric without a value is None, and so is a count of 0, as in Lens with `emptyAsNull`. The rows of a
    saved search are its events.
    """
    if panel.kind == "search":
        return [dict(hit) for hit in response["hits"]["hits"]]
    if "aggregations" not in response and _aggregations(panel.columns):
        return []  # No stream exists.
    groups = [name for name, column in panel.columns.items() if column["isBucketed"]]
    total = response["hits"]["total"]["value"]
    whole = {**response.get("aggregations", {}), "doc_count": total}
    return list(_rows(whole, groups, {}, panel.columns))


def has_data(panel: Panel, response: Mapping[str, Any]) -> bool:
    """Whether a panel draws at least one value."""
    metrics = [name for name, column in panel.columns.items() if not column["isBucketed"]]
    return any(
        panel.kind == "search" or any(row[name] is not None for name in metrics)
        for row in rows(panel, response)
    )


def _aggregations(columns: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {
        name: _aggregation(column, columns)
        for name, column in columns.items()
        if not column["isBucketed"] and column["operationType"] != "count"
    }
    nested = metrics
    for name, column in reversed(list(columns.items())):
        if column["isBucketed"]:
            # As in Lens, a metric that groups are ordered by is also at their level.
            nested = {name: {**_aggregation(column, columns), "aggs": {**metrics, **nested}}}
    return nested


def _aggregation(column: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    field, params = column["sourceField"], column["params"]
    match column["operationType"]:
        case "date_histogram":
            histogram = {"field": field, "fixed_interval": INTERVAL, "min_doc_count": 1}
            return {"date_histogram": histogram}
        case "terms":
            order = {_ordered_by(params["orderBy"]["columnId"], columns): params["orderDirection"]}
            return {"terms": {"field": field, "size": params["size"], "order": order}}
        case "percentile":
            return {"percentiles": {"field": field, "percents": [params["percentile"]]}}
        case "max":
            return {"max": {"field": field}}
    raise ValueError(f"a panel has the operation {column['operationType']}")


def _ordered_by(name: str, columns: Mapping[str, Any]) -> str:
    column = columns[name]
    if column["operationType"] == "count":
        return "_count"
    return f"{name}.{column['params']['percentile']}"


def _rows(
    bucket: Mapping[str, Any],
    groups: list[str],
    keys: dict[str, Any],
    columns: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    if groups:
        first, *inner = groups
        for one in bucket[first]["buckets"]:
            yield from _rows(one, inner, {**keys, first: one["key"]}, columns)
        return
    row = dict(keys)
    for name, column in columns.items():
        match column["operationType"]:
            case "count":
                row[name] = bucket["doc_count"] or None
            case "percentile":
                (row[name],) = bucket[name]["values"].values()
            case "max":
                row[name] = bucket[name]["value"]
    yield row
