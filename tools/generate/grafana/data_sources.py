"""Grafana's data sources, and the links in their results: exemplar → trace → log lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tidegate.observability_files.kibana import trace_path
from tidegate.rules.promql import duration
from tidegate.rules.yaml_text import NOTE
from tidegate.settings import Settings
from tidegate.store.elasticsearch.templates import STREAMS
from tools.generate.grafana.dashboard import CONSOLE

FILE: Final = Path("observability/grafana/provisioning/datasources/tidegate.yml")
PROMETHEUS_UID: Final = "prometheus"
LOGS_UID: Final = "elasticsearch-logs"
TRACES_UID: Final = "elasticsearch-traces"
# Grafana expands `$name` when it reads the file; `$$` is a literal `$`.
VALUE: Final = "$${__value.raw}"
READER_USER: Final = "tidegate_reader"
# Kibana's URL for browsers; Compose sets the variable, because the published port is configurable.
KIBANA: Final = "${KIBANA_PUBLIC_URL}"


def data_sources_yaml(settings: Settings) -> str:
    """The provisioning file, with the host names of the Compose stack."""
    # What leads to a trace, by its label. Grafana shows each of them at an exemplar.
    urls = {
        "Trace in the console": f"{CONSOLE}/traces/{VALUE}",
        "Trace in Kibana": KIBANA + trace_path(settings, VALUE),
    }
    links = [_link(label, url) for label, url in urls.items()]
    lines = _link("Log lines of this trace", f'trace.id:"{VALUE}"', LOGS_UID)
    spans = _link("Spans", f'trace.id:"{VALUE}"', TRACES_UID)
    sources = [
        _prometheus(settings, urls),
        _elasticsearch("logs", LOGS_UID, [*links, spans, lines]),
        _elasticsearch("traces", TRACES_UID, [*links, lines]),
    ]
    for source in sources:
        source |= {"access": "proxy", "editable": False}
    content = {"apiVersion": 1, "prune": True, "datasources": sources}
    body = yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True)
    return f"# {NOTE}\n{body}"


def _prometheus(settings: Settings, urls: Mapping[str, str]) -> dict[str, Any]:
    traces = [
        {"name": "trace_id", "url": url, "urlDisplayLabel": label} for label, url in urls.items()
    ]
    return {
        "name": "Prometheus",
        "uid": PROMETHEUS_UID,
        "type": "prometheus",
        "url": "http://prometheus:9090",
        "isDefault": True,
        "jsonData": {
            "httpMethod": "POST",
            # $__rate_interval is at least four times this.
            "timeInterval": duration(settings.prometheus.scrape_seconds),
            # A URL: Grafana would query a linked data source in TraceQL.
            "exemplarTraceIdDestinations": traces,
        },
    }


def _elasticsearch(name: str, uid: str, links: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "name": f"Elasticsearch {name}",
        "uid": uid,
        "type": "elasticsearch",
        "url": "http://elasticsearch:9200",
        "basicAuth": True,
        "basicAuthUser": READER_USER,
        "secureJsonData": {"basicAuthPassword": "$__file{/run/secrets/reader}"},
        "jsonData": {
            "index": STREAMS[name],
            "timeField": "@timestamp",
            "logMessageField": "message",
            "logLevelField": "log.level",
            "dataLinks": [dict(link) for link in links],  # YAML would write equal ones as aliases
        },
    }


def _link(label: str, url: str, source: str = "") -> dict[str, str]:
    """A link at the field trace.id: a URL, or a query to another data source."""
    link = {"field": "^trace\\.id$$", "url": url, "urlDisplayLabel": label}
    return {**link, "datasourceUid": source} if source else link
