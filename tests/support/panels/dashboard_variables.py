"""A dashboard's variables: their initial values, and the substitution in queries.

The browser substitutes a dashboard's own variables; Grafana's data source substitutes those that begin with
two underscores (`$__rate_interval`).
"""

from __future__ import annotations

import json
import re
from typing import Any, Final
from urllib.parse import quote

from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.store.fields import TIMESTAMP

ALL: Final = "$__all"
MAX_TERMS: Final = 500
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
_LABEL_VALUES: Final = re.compile(r"label_values\((\w+),\s*(\w+)\)")


def substitute(value: Any, variables: dict[str, str]) -> Any:
    """A JSON value with the variables in its strings substituted; unknown variables are unchanged."""
    match value:
        case str():
            return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], found[0]), value)
        case dict():
            return {name: substitute(inner, variables) for name, inner in value.items()}
        case list():
            return [substitute(inner, variables) for inner in value]
    return value


async def initial_values(grafana: HttpClient, dashboard: dict[str, Any]) -> dict[str, str]:
    """The value of each variable when the dashboard is first opened.

    Raises:
        HttpError: a data source does not return the values of a variable.
    """
    chosen: dict[str, str] = {}
    for variable in dashboard["templating"]["list"]:
        current = (variable.get("current") or {}).get("value")
        first = current[0] if isinstance(current, list) and current else current
        if first == ALL:
            chosen[variable["name"]] = variable.get("allValue") or ".*"
        elif first:
            chosen[variable["name"]] = str(first)
        else:
            chosen[variable["name"]] = await _first_value(grafana, variable, chosen)
    return chosen


async def offered_terms(
    grafana: HttpClient,
    variable: dict[str, Any],
    source: str,
    index: str,
    time: dict[str, str],
) -> list[str]:
    """The values that a variable with a query `{"find": "terms"}` offers, as a browser asks for them.

    See `getTerms` in src/datasource.ts and `getTermsQuery` in src/QueryBuilder.ts of
    grafana/grafana-elasticsearch-datasource.

    Raises:
        HttpError: Grafana or Elasticsearch refuses the search.
    """
    query = json.loads(variable["query"])
    header = {"search_type": "query_then_fetch", "ignore_unavailable": True, "index": index}
    span = {"gte": time["from"], "lte": time["to"]}
    terms = {"field": query["field"], "size": MAX_TERMS, "order": {"_key": "asc"}}
    body = {
        "size": 0,
        "query": {"bool": {"filter": [{"range": {TIMESTAMP: span}}]}},
        "aggs": {"1": {"terms": terms}},
    }
    answer = await grafana.call(
        "POST",
        f"/api/datasources/uid/{source}/resources/_msearch",
        data=f"{json.dumps(header)}\n{json.dumps(body)}\n".encode(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    (found,) = json.loads(answer)["responses"]
    if "error" in found:  # of one search, while the status of the response is 200
        raise HttpError(f"the variable {variable['label']}: {found['error']['reason']}")
    buckets = found.get("aggregations", {}).get("1", {}).get("buckets", ())
    return [str(bucket["key"]) for bucket in buckets]


async def _first_value(
    grafana: HttpClient, variable: dict[str, Any], chosen: dict[str, str]
) -> str:
    query = variable["query"]
    text = query["query"] if isinstance(query, dict) else query
    found = _LABEL_VALUES.fullmatch(text)
    if found is None:
        return ""
    source = substitute(variable["datasource"], chosen)["uid"]
    path = f"/api/datasources/uid/{source}/resources/api/v1/label/{found[2]}/values"
    found_values = (await grafana.get(f"{path}?match[]={quote(found[1])}"))["data"]
    return str(found_values[0]) if found_values else ""
