"""The names, ports and addresses of the replicas of local mode; indexes start at 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tidegate.settings import Settings

HOST: Final = "127.0.0.1"


def replica_name(settings: Settings, index: int) -> str:
    """The name of a replica, which is its `service.node.name`."""
    return f"{settings.service.name}-{index}"


def replica_port(settings: Settings, index: int) -> int:
    """The port of a replica."""
    return settings.replicas.first_port + index - 1


def replica_address(settings: Settings, index: int) -> str:
    """The URL of a replica on this machine."""
    return f"http://{HOST}:{replica_port(settings, index)}"


def replica_metrics_port(settings: Settings, index: int) -> int:
    """The port from which Prometheus reads a replica's metrics."""
    own = settings.telemetry.metrics_port
    return replica_port(settings, index) if own is None else own + index - 1


def metrics_targets(settings: Settings, indexes: Iterable[int]) -> dict[str, str]:
    """Where Prometheus reads the metrics of these replicas, as host:port, by the replica's name."""
    return {
        replica_name(settings, index): f"{HOST}:{replica_metrics_port(settings, index)}"
        for index in indexes
    }
