"""The metrics that the components export, and the sections of docs/reference/metrics.md."""

from __future__ import annotations

from typing import Final

from tidegate.rules.gateway_metrics import GATEWAY
from tidegate.rules.metric import Metric
from tools.generate.metrics.exporter import EXPORTER
from tools.generate.metrics.model import MODEL, WATCH

SERVICE: Final = (
    Metric(
        "http_server_request_duration_seconds",
        "histogram",
        ("http_route", "http_request_method", "http_response_status_code"),
        "time from the arrival at the gateway to the end of the response; one bucket's upper bound is the "
        "objective; exemplars have the ids of sampled traces; without probes and scrapes",
    ),
    Metric(
        "tidegate_first_byte_seconds",
        "histogram",
        ("http_route", "http_request_method", "http_response_status_code"),
        'with slo.until = "first_byte": time from the arrival at the gateway to the first byte of the '
        "response's body; otherwise as http_server_request_duration_seconds",
    ),
    Metric("tidegate_slot_seconds", "histogram", (), "time of a request in its slot"),
    Metric(
        "tidegate_slot_first_byte_seconds",
        "histogram",
        (),
        'with slo.until = "first_byte": time of a request in its slot until the first byte of its response',
    ),
    Metric("tidegate_slots", "gauge", (), "requests that the replica processes at once"),
    Metric("tidegate_slots_busy", "gauge", (), "slots in use now"),
    Metric(
        "tidegate_ray_arrivals_total",
        "counter",
        (),
        "on Ray Serve behind its HAProxy: requests that it sent to the replica",
    ),
    Metric(
        "tidegate_ray_waiting",
        "gauge",
        (),
        "on Ray Serve behind its HAProxy: requests that wait in the replica for a slot",
    ),
    Metric(
        "tidegate_predictions_total",
        "counter",
        ("model", "version", "label"),
        "rows predicted, by label",
    ),
    Metric(
        "tidegate_replica_info",
        "gauge",
        ("node",),
        "1, with the name of the replica in events: in Kubernetes that of its pod",
    ),
    Metric(
        "tidegate_events_lost_total",
        "counter",
        (),
        "events lost because the disk was full or failed",
    ),
)
AUTOSCALER: Final = (
    Metric("tidegate_replicas", "gauge", ("state",), "replicas by state: desired, running, ready"),
    Metric(
        "tidegate_autoscaler_desired_replicas",
        "gauge",
        (),
        "the number of replicas last decided, for use by KEDA; absent before the first decision, and "
        "when none was made for 4 ticks",
    ),
    Metric(
        "tidegate_autoscaler_desired_slots",
        "gauge",
        (),
        "slots of each replica as last decided; NaN if the policy does not set them",
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
        "tidegate_autoscaler_resizer_up",
        "gauge",
        (),
        "1 if the resizer, or with KEDA the API server, answered at the last tick, else 0",
    ),
    Metric(
        "tidegate_autoscaler_paused",
        "gauge",
        (),
        "1 while a person holds or bounds the number (`tidegate pause`), else 0",
    ),
    Metric(
        "tidegate_autoscaler_dry_run",
        "gauge",
        (),
        "1 if decisions are recorded but not applied, else 0",
    ),
    Metric(
        "tidegate_autoscaler_machine_full",
        "gauge",
        (),
        "1 while requests queue and more replicas do not complete more of them (policy `sloq`), else 0",
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
        "deliveries retried because the store was unavailable",
    ),
    Metric(
        "tidegate_collector_quarantined_total",
        "counter",
        (),
        "lines quarantined because no store can accept them",
    ),
    Metric(
        "tidegate_collector_lost_bytes_total",
        "counter",
        (),
        "bytes of event files that were deleted, cut or replaced before they were delivered",
    ),
    Metric(
        "tidegate_collector_store_damages_total",
        "counter",
        (),
        "damages of the embedded store: a part was set aside, or the store was deleted",
    ),
    Metric(
        "tidegate_collector_lost_events_total",
        "counter",
        (),
        "events of damaged parts of the store whose event files were deleted before",
    ),
    Metric("tidegate_collector_lag_bytes", "gauge", (), "bytes in event files not delivered yet"),
    Metric(
        "tidegate_collector_lag_seconds", "gauge", (), "age of the oldest event not delivered yet"
    ),
    Metric(
        "tidegate_collector_sink_up", "gauge", (), "whether the store accepted the last delivery"
    ),
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
        "memory limit of the container; above it the kernel kills a process",
    ),
    Metric(
        "tidegate_resizer_faults_total",
        "counter",
        (),
        "unexpected errors in loops of the resizer, which then run again; each is an event `fault`",
    ),
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
