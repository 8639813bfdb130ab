"""The number of unexpected errors, as a metric of the resizer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.runtime.event_log import EventLog


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps collectors as keys
class FaultCounter(Collector):
    """Counts the faults of an event log; a collector of the Prometheus client."""

    event_log: EventLog

    def collect(self) -> Iterable[Metric]:
        """The number now."""
        yield CounterMetricFamily(
            "tidegate_resizer_faults",
            "Unexpected errors in loops of the resizer, which then run again; each is an event "
            "fault.",
            value=self.event_log.faults,
        )
