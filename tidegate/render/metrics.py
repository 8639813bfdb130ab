"""Every metric that Tidegate exports or keeps of others, and the page that lists them."""

from __future__ import annotations

import re
from typing import Final

from tidegate.render.alerts import alerts
from tidegate.render.drift_metrics import MODEL, WATCH
from tidegate.render.metric import Metric
from tidegate.render.model_rules import model_groups
from tidegate.render.pipeline_metrics import EXPORTER
from tidegate.render.promql import duration, number
from tidegate.render.recording import groups
from tidegate.settings import Settings

SERVICE: Final = (
    Metric(
        "http_server_request_duration_seconds",
        "histogram",
        ("http_route", "http_request_method", "http_response_status_code"),
        "time from the arrival at the gateway to the end of the answer, as the client felt it; one bucket's "
        "edge is the objective; exemplars name kept traces; probes and scrapes are left out",
    ),
    Metric("tidegate_slot_seconds", "histogram", (), "time of a request in its slot"),
    Metric("tidegate_slots", "gauge", (), "requests that the replica works on at once"),
    Metric("tidegate_slots_busy", "gauge", (), "slots in use now"),
    Metric(
        "tidegate_predictions_total",
        "counter",
        ("model", "version", "label"),
        "rows predicted, by label",
    ),
    Metric(
        "tidegate_events_lost_total",
        "counter",
        (),
        "events that a full or failing disk did not take",
    ),
)
AUTOSCALER: Final = (
    Metric("tidegate_replicas", "gauge", ("state",), "replicas that are desired, running, ready"),
    Metric(
        "tidegate_autoscaler_desired_replicas",
        "gauge",
        (),
        "the number last decided, which an HPA or KEDA may follow",
    ),
    Metric(
        "tidegate_autoscaler_desired_slots",
        "gauge",
        (),
        "slots of each replica as last decided; NaN where the policy leaves them",
    ),
    Metric(
        "tidegate_autoscaler_decisions_total", "counter", ("reason",), "decisions by their reason"
    ),
    Metric(
        "tidegate_autoscaler_signal_age_seconds",
        "gauge",
        (),
        "age of the oldest sample that the last decision was made from; NaN if unknown",
    ),
    Metric(
        "tidegate_autoscaler_paused",
        "gauge",
        (),
        "1 while a person holds or bounds the number (`tidegate pause`), else 0",
    ),
    Metric(
        "tidegate_autoscaler_dry_run", "gauge", (), "1 if decisions are only written down, else 0"
    ),
)
COLLECTOR: Final = (
    Metric(
        "tidegate_collector_delivered_total",
        "counter",
        (),
        "events that the store has acknowledged",
    ),
    Metric(
        "tidegate_collector_retried_total",
        "counter",
        (),
        "deliveries tried again, as the store was away",
    ),
    Metric(
        "tidegate_collector_quarantined_total",
        "counter",
        (),
        "lines set aside that no store can take",
    ),
    Metric("tidegate_collector_lag_bytes", "gauge", (), "bytes in event files not delivered yet"),
    Metric(
        "tidegate_collector_lag_seconds", "gauge", (), "age of the oldest event not delivered yet"
    ),
    Metric("tidegate_collector_sink_up", "gauge", (), "whether the store took the last delivery"),
)
RESIZER: Final = (
    Metric(
        "tidegate_container_memory_bytes",
        "gauge",
        ("service", "container"),
        "memory of a container of the project, sampled every 5 s, without file cache that can be dropped",
    ),
    Metric(
        "tidegate_container_memory_limit_bytes",
        "gauge",
        ("service", "container"),
        "memory that it may use; beyond that the kernel kills it",
    ),
)
# Of HAProxy's exporter; what stands here is kept at the scrape, the rest is dropped.
GATEWAY: Final = (
    Metric(
        "haproxy_frontend_http_requests_total",
        "counter",
        ("proxy",),
        "requests received by the frontend `http_in`, malformed and refused ones too",
    ),
    Metric(
        "haproxy_frontend_http_responses_total",
        "counter",
        ("proxy", "code"),
        "answers given to clients, by class of status",
    ),
    Metric(
        "haproxy_frontend_request_errors_total",
        "counter",
        ("proxy",),
        "requests that are no valid HTTP",
    ),
    Metric(
        "haproxy_frontend_current_sessions",
        "gauge",
        ("proxy",),
        "connections and requests open now",
    ),
    Metric(
        "haproxy_backend_sessions_total",
        "counter",
        ("proxy",),
        "requests that arrived for the backend `model`, counted before they wait",
    ),
    Metric("haproxy_backend_current_queue", "gauge", ("proxy",), "requests that wait for a slot"),
    Metric(
        "haproxy_backend_current_sessions",
        "gauge",
        ("proxy",),
        "requests that wait or are worked on, and one of the gateway's own",
    ),
    Metric(
        "haproxy_backend_active_servers", "gauge", ("proxy",), "replicas whose /ready answers 200"
    ),
    Metric(
        "haproxy_backend_http_requests_total",
        "counter",
        ("proxy",),
        "requests counted when they are answered: not the arrival rate",
    ),
    Metric(
        "haproxy_backend_http_responses_total",
        "counter",
        ("proxy", "code"),
        "answers by class of status",
    ),
    Metric(
        "haproxy_backend_connection_errors_total",
        "counter",
        ("proxy",),
        "requests given up: the wait was too long, or no attempt could connect",
    ),
    Metric(
        "haproxy_backend_response_errors_total", "counter", ("proxy",), "invalid or broken answers"
    ),
    Metric(
        "haproxy_backend_retry_warnings_total", "counter", ("proxy",), "attempts that were repeated"
    ),
    Metric(
        "haproxy_backend_redispatch_warnings_total",
        "counter",
        ("proxy",),
        "attempts repeated elsewhere",
    ),
    Metric(
        "haproxy_backend_client_aborts_total",
        "counter",
        ("proxy",),
        "clients that left unanswered",
    ),
    Metric(
        "haproxy_server_status",
        "gauge",
        ("proxy", "server", "state"),
        "1 for the state a server is in; `waiting` is the gateway's own",
    ),
    Metric(
        "haproxy_server_current_sessions",
        "gauge",
        ("proxy", "server"),
        "requests a server works on",
    ),
    Metric(
        "haproxy_server_http_responses_total",
        "counter",
        ("proxy", "server", "code"),
        "a server's answers by class of status",
    ),
    Metric(
        "haproxy_server_connection_errors_total",
        "counter",
        ("proxy", "server"),
        "failed connections",
    ),
    Metric("haproxy_process_uptime_seconds", "gauge", (), "how long HAProxy has been running"),
)
_LABEL: Final = re.compile(r"\{\{ \$labels\.\w+ \}\}")
INTRODUCTION: Final = (
    "Names follow OpenTelemetry's conventions where there is one, units are base units. Each Python program "
    "also exports the usual `process_*` metrics. Whoever reads them ([dashboards](grafana.md), alerts, the "
    "autoscaler) asks for recorded series, never for a derivation of its own."
)
SECTIONS: Final = {
    "Replicas (job `model`)": SERVICE,
    "The model (job `model`; see [drift](../explanation/drift.md))": MODEL,
    "Gateway (job `gateway`)": GATEWAY,
    "Autoscaler (job `autoscaler`)": AUTOSCALER,
    "Collector (job `collector`)": COLLECTOR,
    "Watcher of labels (job `watch`)": WATCH,
    "Exporter (job `exporter`; Compose only)": EXPORTER,
    "Resizer (job `resizer`; Compose only)": RESIZER,
}


def metrics_page(settings: Settings) -> str:
    """docs/reference/metrics.md."""
    scrape = duration(settings.prometheus.scrape_seconds)
    lines = [
        "<!-- Written by `tidegate render` from tidegate/render/: change it there. -->",
        "# Metrics, recording rules and alerts",
        "",
        INTRODUCTION,
    ]
    for title, metrics in SECTIONS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| metric | type | labels | meaning |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.meaning} |"
            for metric in metrics
        ]
    lines += [
        "",
        "## Recording rules",
        "",
        (
            f"Recorded every {scrape}; the ratios, and what is told of a model, every 15 s, over 1h and 1d "
            "every minute. What has no data is missing, never NaN."
        ),
        "",
        "| series | meaning |",
        "| --- | --- |",
    ]
    lines += [
        f"| `{recording.name}` | {recording.meaning} |"
        for group in (*groups(settings.slo), *model_groups(settings.drift))
        for recording in group.recordings
    ]
    seconds = number(settings.slo.latency_seconds)
    quantile, available = (
        number(share * 100) for share in (settings.slo.latency_quantile, settings.slo.availability)
    )
    lines += [
        "",
        "## Alerts",
        "",
        (
            f"For the objective in `tidegate.toml`: {quantile} % of requests within {seconds} s, {available} "
            "% without a 5xx. `critical` wants a person now, `warning` today."
        ),
        "",
        "| alert | severity | after | says |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| [{alert.name}](../runbooks/{alert.name}.md) | {alert.severity} | "
        f"{duration(alert.seconds) if alert.seconds else 'at once'} | "
        f"{_LABEL.sub('*…*', alert.summary)} |"
        for alert in alerts(settings)
    ]
    return "\n".join(lines) + "\n"
