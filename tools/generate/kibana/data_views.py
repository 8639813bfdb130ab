"""The data views: the data streams that Kibana searches, and the formats of their fields."""

from __future__ import annotations

from typing import Any, Final

from tidegate.observability_files.kibana import DataView
from tidegate.settings import Settings
from tidegate.store.fields import TIMESTAMP
from tools.generate.kibana.links import trace_path

NANOSECONDS: Final = (
    "event.duration",
    "tidegate.first_byte_ns",
    "tidegate.queue_ns",
    "tidegate.gateway.queue_ns",
)


LOGS: Final = DataView("tidegate-logs", "Tidegate logs", "logs-tidegate.*-*")
TRACES: Final = DataView("tidegate-traces", "Tidegate traces", "traces-tidegate.*-*")
DECISIONS: Final = DataView("tidegate-decisions", "Tidegate decisions", "logs-tidegate.decision-*")
# The events of a request are in both: its logs and its spans.
EVENTS: Final = DataView(
    "tidegate-events", "Tidegate logs and traces", f"{LOGS.pattern},{TRACES.pattern}"
)
DATA_VIEWS: Final = (LOGS, TRACES, DECISIONS, EVENTS)


def data_view_requests(settings: Settings) -> list[dict[str, Any]]:
    """The body of the request to Kibana's data view API for each data view.

    `override` replaces a data view with the same name; `allowNoIndex` allows one without matching indices.
    """
    return [
        {
            "override": True,
            "refresh_fields": False,
            "data_view": {
                "id": view.id,
                "title": view.pattern,
                "name": view.name,
                "timeFieldName": TIMESTAMP,
                "allowNoIndex": True,
                "fieldFormats": _formats(settings),
            },
        }
        for view in DATA_VIEWS
    ]


def _formats(settings: Settings) -> dict[str, Any]:
    """Durations in milliseconds, and trace ids as links to their traces."""
    milliseconds = {
        "id": "duration",
        "params": {
            "inputFormat": "nanoseconds",
            "outputFormat": "asMilliseconds",
            "outputPrecision": 1,
            "showSuffix": True,
            "useShortSuffix": True,
        },
    }
    link = {
        "id": "url",
        "params": {
            "type": "a",
            "urlTemplate": trace_path("{{value}}", EVENTS.id, _retention(settings)),
            "labelTemplate": "{{value}}",
        },
    }
    return {**dict.fromkeys(NANOSECONDS, milliseconds), "trace.id": link}


def _retention(settings: Settings) -> str:
    return settings.store.elasticsearch.retention
