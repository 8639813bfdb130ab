"""The metrics of several models in one registry, each family once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class MergedCollector(Collector):
    """Collects several registries; families of one name become one, as a scrape may have each only once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registries: list[CollectorRegistry] = []

    def add(self, registry: CollectorRegistry) -> None:
        """Add a registry."""
        with self._lock:
            self._registries.append(registry)

    def describe(self) -> list[Metric]:
        """Nothing is known in advance."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of all registries."""
        with self._lock:
            registries = list(self._registries)
        families: dict[str, Metric] = {}
        for registry in registries:
            for family in registry.collect():
                merged = families.get(family.name)
                if merged is None:  # a copy, as a family may be kept by its collector
                    merged = Metric(family.name, family.documentation, family.type, family.unit)
                    families[family.name] = merged
                merged.samples.extend(family.samples)
        yield from families.values()
