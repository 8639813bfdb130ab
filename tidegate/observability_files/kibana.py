"""The data views, saved searches and dashboard in observability/kibana, for the settings in force.

The files hold the values of the repository's own settings. Two of them depend on the settings: a link to a
trace looks back as far as the store's retention, and the search for slow requests uses the latency objective.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from tidegate.observability_files.paths import observability_folder
from tidegate.settings import Settings, Slo

DATA_VIEWS_FILE: Final = Path("kibana", "data-views.json")
SAVED_OBJECTS_FILE: Final = Path("kibana", "saved-objects.ndjson")
DEFAULT_DATA_VIEW: Final = "tidegate-logs"
SLOW_REQUESTS: Final = "tidegate-slow-requests"
MAY_BE_EMPTY: Final = frozenset(
    {"tidegate-errors", SLOW_REQUESTS, "tidegate-drift", "tidegate-refusals"}
)
"""The ids of searches that find events only after an error, a slow request or an alert."""


@dataclass(frozen=True, slots=True)
class DataView:
    """A data view."""

    id: str  # never changes, because searches, panels and people's links refer to it
    name: str  # what a person selects it by; Kibana identifies an existing data view by its name
    pattern: str  # the data streams, separated by commas; may contain wildcards


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A saved search."""

    id: str  # never changes
    title: str  # what a person selects it by
    view: DataView
    query: str  # Lucene; empty matches every event


def data_view_requests(settings: Settings) -> list[dict[str, Any]]:
    """The body of the request to Kibana's data view API for each data view."""
    text = (observability_folder() / DATA_VIEWS_FILE).read_text("utf-8")
    back = f"from:now-{settings.store.elasticsearch.retention},to:now"
    return list(orjson.loads(re.sub(r"from:now-\w+,to:now", back, text)))


def data_views(settings: Settings) -> list[DataView]:
    """Every data view."""
    found = [request["data_view"] for request in data_view_requests(settings)]
    return [DataView(view["id"], view["name"], view["title"]) for view in found]


def trace_path(settings: Settings, trace_id: str) -> str:
    """The path to Discover with every event of a trace, as the data views link each trace id to it."""
    view, *_ = data_view_requests(settings)
    link = view["data_view"]["fieldFormats"]["trace.id"]["params"]["urlTemplate"]
    return str(link).replace("{{value}}", trace_id)


def saved_objects(settings: Settings) -> list[dict[str, Any]]:
    """Every object that is imported: searches first, then the dashboard that shows one."""
    lines = (observability_folder() / SAVED_OBJECTS_FILE).read_bytes().splitlines()
    objects: list[dict[str, Any]] = [orjson.loads(line) for line in lines]
    for each in objects:
        if each["id"] == SLOW_REQUESTS:
            _set_objective(each["attributes"], settings.slo)
    return objects


def saved_searches(settings: Settings) -> list[SavedSearch]:
    """Every saved search."""
    views = {view.id: view for view in data_views(settings)}
    return [
        SavedSearch(
            each["id"],
            each["attributes"]["title"],
            views[each["references"][0]["id"]],
            _search_source(each["attributes"])["query"]["query"],
        )
        for each in saved_objects(settings)
        if each["type"] == "search"
    ]


def ndjson(objects: Iterable[dict[str, Any]]) -> bytes:
    """The objects, one per line, as Kibana imports them."""
    return b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in objects)


def dashboard_path(dashboard: str) -> str:
    """The path of a dashboard's page, without the host."""
    return f"/app/dashboards#/view/{dashboard}"


def slow_requests_query(slo: Slo) -> str:
    """The Lucene query for requests that are slower than the objective."""
    field = "tidegate.first_byte_ns" if slo.until == "first_byte" else "event.duration"
    return f"event.dataset:tidegate.request AND {field}:>{round(slo.latency_seconds * 1e9)}"


def _set_objective(attributes: dict[str, Any], slo: Slo) -> None:
    attributes["description"] = re.sub(
        r"objective, \S+ s", f"objective, {slo.latency_seconds:g} s", attributes["description"]
    )
    source = _search_source(attributes)
    source["query"]["query"] = slow_requests_query(slo)
    attributes["kibanaSavedObjectMeta"]["searchSourceJSON"] = orjson.dumps(source).decode()


def _search_source(attributes: dict[str, Any]) -> dict[str, Any]:
    return dict(orjson.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"]))
