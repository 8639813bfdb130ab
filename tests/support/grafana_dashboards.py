"""The committed Grafana dashboards: panels and queries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from support.checkout import ROOT

FOLDER: Final = ROOT / "observability" / "grafana" / "dashboards"


@dataclass(frozen=True)
class Target:
    """One query of one panel."""

    dashboard: str
    panel: Mapping[str, Any]
    query: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The type of the data source."""
        return str(self.query["datasource"]["type"])

    @property
    def name(self) -> str:
        """The id of the parametrized test."""
        return f"{self.dashboard} / {self.panel['title']} / {self.query['refId']}"


def dashboards() -> dict[str, dict[str, Any]]:
    """Each dashboard by its name."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))
    }


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panels without the headings."""
    return [panel for panel in with_headings(dashboard) if panel["type"] != "row"]


def with_headings(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panels and the headings, in order; a collapsed heading holds its panels."""
    return [each for top in dashboard["panels"] for each in (top, *top.get("panels", ()))]


def section(dashboard: Mapping[str, Any], title: str) -> list[dict[str, Any]]:
    """The panels of a collapsed section."""
    (heading,) = (each for each in dashboard["panels"] if each.get("title") == title)
    return list(heading["panels"])


def targets(kind: str) -> list[Target]:
    """Every query to data sources of this type."""
    return [
        target
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for query in panel.get("targets", ())
        if (target := Target(name, panel, query)).kind == kind
    ]


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with a dashboard's variables replaced, the longest names first."""
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${name}", values[name])
    return text


def flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted names of an event's fields, which are Grafana's column names."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def elasticsearch_search(query: Mapping[str, Any], since: float, until: float) -> dict[str, Any]:
    """The body of `_search` that Grafana's data source makes of a query, for a time range in Unix seconds."""
    window = {"gte": int(since * 1000), "lte": int(until * 1000), "format": "epoch_millis"}
    filters = [
        {"range": {query["timeField"]: window}},
        {"query_string": {"query": query["query"], "analyze_wildcard": True}},
    ]
    body: dict[str, Any] = {"size": 0, "query": {"bool": {"filter": filters}}}
    (metric,) = query["metrics"]
    if metric["type"] in {"logs", "raw_data"}:
        size = metric["settings"].get("limit") or metric["settings"]["size"]
        return body | {"size": int(size), "sort": [{query["timeField"]: "desc"}]}
    return body | {"aggs": _aggregations(query["bucketAggs"], metric)}


def _aggregations(buckets: list[dict[str, Any]], metric: dict[str, Any]) -> dict[str, Any]:
    """Each aggregation is nested in the previous one, the metric in the last."""
    if not buckets:
        if metric["type"] == "count":
            return {}
        percents = [float(percent) for percent in metric["settings"]["percents"]]
        return {metric["id"]: {"percentiles": {"field": metric["field"], "percents": percents}}}
    first, *rest = buckets
    settings = first["settings"]
    options: dict[str, Any] = {"min_doc_count": int(settings["min_doc_count"])}
    if first["type"] == "terms":
        order = {settings["orderBy"]: settings["order"]}
        options |= {"size": int(settings["size"]), "order": order}
    else:
        options |= {"fixed_interval": "5s"}
    within = _aggregations(rest, metric)
    return {
        first["id"]: {
            first["type"]: {"field": first["field"], **options},
            **({"aggs": within} if within else {}),
        }
    }
