"""The saved searches, which open in Discover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from tidegate.observability_files.kibana import (
    SLOW_REQUESTS,
    DataView,
    slow_requests_query,
)
from tidegate.settings import Settings
from tidegate.store.fields import TIMESTAMP
from tools.generate.kibana.data_views import DECISIONS, EVENTS, LOGS

# The oldest versions that have these attributes: Kibana migrates older objects, and rejects newer ones.
CORE_VERSION: Final = "8.8.0"
SEARCH_VERSION: Final = "10.5.0"
INDEX_REFERENCE: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
LANGUAGE: Final = "lucene"
"""Of every query; `tidegate search` accepts the same syntax."""


@dataclass(frozen=True, slots=True)
class Search:
    """A saved search.

    Attributes:
        id: must not change, because dashboards and links refer to it.
        title: shown in Kibana's list.
        description: one sentence.
        view: the data view that it searches.
        query: in Lucene's syntax; empty matches every event.
        columns: the fields to show besides `@timestamp`.
        order: of `@timestamp`.
    """

    id: str
    title: str
    description: str
    view: DataView
    query: str
    columns: tuple[str, ...]
    order: Literal["asc", "desc"] = "desc"

    def saved_object(self) -> dict[str, Any]:
        """The object in the form of Kibana's import file."""
        return {
            "type": "search",
            "id": self.id,
            "coreMigrationVersion": CORE_VERSION,
            "typeMigrationVersion": SEARCH_VERSION,
            "attributes": {
                "title": self.title,
                "description": self.description,
                "columns": list(self.columns),
                "sort": [[TIMESTAMP, self.order]],
                "grid": {},
                "hideChart": False,
                "isTextBasedQuery": False,
                "timeRestore": False,
                "kibanaSavedObjectMeta": {
                    "searchSourceJSON": json_text(
                        {
                            "query": lucene(self.query),
                            "filter": [],
                            "indexRefName": INDEX_REFERENCE,
                        }
                    )
                },
            },
            "references": [{"type": "index-pattern", "id": self.view.id, "name": INDEX_REFERENCE}],
        }


ERRORS: Final = Search(
    "tidegate-errors",
    "Tidegate: errors and their traces",
    "Errors of all components. Click a trace id to open its trace.",
    LOGS,
    "log.level:error",
    ("event.dataset", "service.node.name", "message", "error.type", "error.message", "trace.id"),
)


def searches(settings: Settings) -> tuple[Search, ...]:
    """Every saved search, for these settings."""
    return (
        ERRORS,
        Search(
            SLOW_REQUESTS,
            "Tidegate: slow requests",
            f"Requests slower than the objective, {settings.slo.latency_seconds:g} s.",
            LOGS,
            slow_requests_query(settings.slo),
            (
                "event.duration",
                "tidegate.queue_ns",
                "tidegate.route",
                "tidegate.work",
                "http.response.status_code",
                "service.node.name",
                "trace.id",
            ),
        ),
        Search(
            "tidegate-one-trace",
            "Tidegate: one trace",
            "Replace the * by a trace id to see its log lines and spans, oldest first.",
            EVENTS,
            "trace.id:*",
            (
                "trace.id",
                "data_stream.type",
                "service.node.name",
                "message",
                "event.duration",
                "span.id",
                "parent.id",
            ),
            order="asc",
        ),
        Search(
            "tidegate-scaling",
            "Tidegate: autoscaler decisions",
            "The desired number of replicas at each tick, and the reason.",
            DECISIONS,
            "",
            (
                "tidegate.decision.previous",
                "tidegate.decision.desired",
                "tidegate.decision.reason",
                "tidegate.decision.policy",
                "message",
            ),
        ),
        Search(
            "tidegate-drift",
            "Tidegate: model alerts",
            "Alerts about drift of the model's inputs or predictions, and about its accuracy.",
            LOGS,
            "event.dataset:tidegate.alerts AND tidegate.alert.name:(Drift* OR Model*)",
            (
                "tidegate.alert.name",
                "tidegate.alert.severity",
                "tidegate.alert.status",
                "message",
            ),
        ),
        Search(
            "tidegate-refusals",
            "Tidegate: failed requests at the gateway",
            "Every 5xx that a client received, including requests that reached no replica.",
            LOGS,
            "event.dataset:tidegate.access AND http.response.status_code:>=500",
            (
                "http.response.status_code",
                "http.request.method",
                "url.path",
                "event.duration",
                "tidegate.gateway.queue_ns",
                "tidegate.gateway.server",
                "tidegate.gateway.retries",
                "tidegate.gateway.termination_state",
                "trace.id",
            ),
        ),
    )


def lucene(query: str) -> dict[str, str]:
    """A query in the form of Kibana's objects."""
    return {"query": query, "language": LANGUAGE}


def json_text(value: Any) -> str:
    """JSON in a text, for Kibana's objects."""
    return orjson.dumps(value).decode()
