"""The cumulative counters of a replica for the policy inside Ray, which has no Prometheus to ask for rates.

Ray collects them by `record_autoscaling_stats` of the deployment, as numbers by name. Counters, unlike rates,
stay right when Ray drops a report or reports at other times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry

from tidegate.settings import Slo

PREFIX: Final = "tidegate_"
SLOTS: Final = PREFIX + "slots"
BUSY: Final = PREFIX + "busy"
WAITING: Final = PREFIX + "waiting"
"""Requests that wait in the replica for a slot: behind Ray's HAProxy only."""
SLOT_SECONDS: Final = PREFIX + "slot_seconds"
"""With `_sum`, `_count` and `_le_<edge>` for each bucket."""
OBJECTIVE_SLOT_SECONDS: Final = PREFIX + "objective_slot_seconds"
"""The part of it until the byte that the objective is about; `_count` and `_le_<edge>`."""
LATENCY: Final = PREFIX + "latency_seconds"
"""The response time without 5xx; `_count` and `_le_<edge>`."""
_SERVER_ERROR: Final = re.compile("5..")


def cumulative_counters(registry: CollectorRegistry, slo: Slo) -> dict[str, float]:
    """The counters of a replica's metrics now, by name; all are finite and at least 0."""
    first_byte = slo.until == "first_byte"
    metric_of = {
        SLOTS: SLOTS,
        BUSY: "tidegate_slots_busy",
        WAITING: "tidegate_ray_waiting",
        SLOT_SECONDS: SLOT_SECONDS,
        OBJECTIVE_SLOT_SECONDS: "tidegate_slot_first_byte_seconds" if first_byte else SLOT_SECONDS,
        LATENCY: "tidegate_first_byte_seconds"
        if first_byte
        else "http_server_request_duration_seconds",
    }
    found = {metric.name: metric.samples for metric in registry.collect()}
    counters: dict[str, float] = {}
    for name, metric in metric_of.items():
        for sample in found.get(metric, ()):
            if _SERVER_ERROR.fullmatch(sample.labels.get("http_response_status_code", "")):
                continue
            suffix = sample.name.removeprefix(metric)
            if suffix == "_bucket":
                suffix = f"_le_{sample.labels['le']}"
            elif suffix not in {"", "_sum", "_count"}:
                continue
            key = name + suffix
            counters[key] = counters.get(key, 0.0) + float(sample.value)
    return counters


def edges(counters: Iterable[str], name: str) -> dict[float, str]:
    """The names of a histogram's buckets by their upper edge, in ascending order."""
    prefix = f"{name}_le_"
    found = {float(one.removeprefix(prefix)): one for one in counters if one.startswith(prefix)}
    return dict(sorted(found.items()))
