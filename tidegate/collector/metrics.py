"""The metrics of the collector."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector


class Metrics:
    """The metrics of one collector."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.delivered = Counter(
            "tidegate_collector_delivered",
            "Events that the sink has acknowledged: the store, or Logstash.",
            registry=self.registry,
        )
        self.retried = Counter(
            "tidegate_collector_retried",
            "Deliveries that were retried because the sink was unavailable.",
            registry=self.registry,
        )
        self.quarantined = Counter(
            "tidegate_collector_quarantined",
            "Lines quarantined because no store accepts them.",
            registry=self.registry,
        )
        self.lost_bytes = Counter(
            "tidegate_collector_lost_bytes",
            "Bytes of event files that were deleted, cut or replaced before they were delivered.",
            registry=self.registry,
        )
        self.store_damages = Counter(
            "tidegate_collector_store_damages",
            "Damages of the embedded store: a damaged part was set aside, or the store was deleted.",
            registry=self.registry,
        )
        self.lost_events = Counter(
            "tidegate_collector_lost_events",
            "Events of damaged parts of the embedded store whose event files were deleted before.",
            registry=self.registry,
        )
        self.lag_bytes = Gauge(
            "tidegate_collector_lag_bytes",
            "Bytes in event files that are not delivered yet.",
            registry=self.registry,
        )
        self.lag_seconds = Gauge(
            "tidegate_collector_lag_seconds",
            "Age of the oldest event that is not delivered yet; 0 if all are.",
            registry=self.registry,
        )
        self.sink_up = Gauge(
            "tidegate_collector_sink_up",
            "Whether the sink accepted the last delivery (1) or is unavailable (0).",
            registry=self.registry,
        )
