"""The cumulative counters of a replica for the policy inside Ray, which has no Prometheus to ask for rates.

Ray collects them by `record_autoscaling_stats` of the deployment, as numbers by name. Counters, unlike rates,
stay right when Ray drops a report or reports at other times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Metric

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
_BUSY: Final = "tidegate_slots_busy"
_WAITING: Final = "tidegate_ray_waiting"
_SERVER_ERROR: Final = re.compile("5..")


class CumulativeCounters:
    """Reads the counters from the metrics of a replica."""

    def __init__(self, registry: CollectorRegistry, slo: Slo) -> None:
        self._registry = registry
        first_byte = slo.until == "first_byte"
        self._latency = (
            "tidegate_first_byte_seconds" if first_byte else "http_server_request_duration_seconds"
        )
        self._objective = "tidegate_slot_first_byte_seconds" if first_byte else SLOT_SECONDS

    def read(self) -> dict[str, float]:
        """The counters now, by name; all are finite and at least 0."""
        wanted = {SLOTS, _BUSY, _WAITING, SLOT_SECONDS, self._objective, self._latency}
        found = {
            metric.name: metric for metric in self._registry.collect() if metric.name in wanted
        }
        counters: dict[str, float] = {}
        _add_gauge(counters, SLOTS, found.get(SLOTS))
        _add_gauge(counters, BUSY, found.get(_BUSY))
        _add_gauge(counters, WAITING, found.get(_WAITING))
        _add_histogram(counters, SLOT_SECONDS, found.get(SLOT_SECONDS))
        _add_histogram(counters, OBJECTIVE_SLOT_SECONDS, found.get(self._objective))
        _add_histogram(counters, LATENCY, found.get(self._latency))
        return counters


def edges(counters: Iterable[str], name: str) -> dict[float, str]:
    """The names of a histogram's buckets by their upper edge, in ascending order."""
    prefix = f"{name}_le_"
    found = {float(one.removeprefix(prefix)): one for one in counters if one.startswith(prefix)}
    return dict(sorted(found.items()))


def _add_gauge(counters: dict[str, float], name: str, metric: Metric | None) -> None:
    if metric is not None:
        counters[name] = float(sum(sample.value for sample in metric.samples))


def _add_histogram(counters: dict[str, float], name: str, metric: Metric | None) -> None:
    if metric is None:
        return
    for sample in metric.samples:
        if _SERVER_ERROR.fullmatch(sample.labels.get("http_response_status_code", "")):
            continue
        if sample.name.endswith("_bucket"):
            key = f"{name}_le_{sample.labels['le']}"
        elif sample.name.endswith(("_sum", "_count")):
            key = f"{name}_{sample.name.rpartition('_')[2]}"
        else:
            continue
        counters[key] = counters.get(key, 0.0) + float(sample.value)
