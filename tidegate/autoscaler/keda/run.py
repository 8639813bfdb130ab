"""The parts of the autoscaler that exist only where KEDA acts; importing them takes 35 MB."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.keda.deployment_view import DeploymentView
from tidegate.autoscaler.keda.external_scaler import ExternalScaler
from tidegate.autoscaler.keda.server import external_scaler_server
from tidegate.autoscaler.keda.tls import server_credentials
from tidegate.resizer.kubernetes.api import open_deployment
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings


@asynccontextmanager
async def keda_scaler(
    settings: Settings, decided: DecidedNumber, event_log: EventLog, timeout_seconds: float
) -> AsyncIterator[DeploymentView]:
    """Answer KEDA inside the block; yields what the control loop takes for its resizer.

    Raises:
        CannotStartError: there are no credentials for the cluster, the files of TLS are invalid, or the port
            is taken.
    """
    credentials = server_credentials(settings.autoscaler)
    async with open_deployment(
        settings.resizer.deployment,
        settings.resizer.kubernetes_namespace,
        time.monotonic,
        timeout_seconds,
    ) as deployment:
        view = DeploymentView(
            deployment, settings.replicas, decided, event_log, time.monotonic, time.time
        )
        name, namespace = deployment.name, deployment.namespace
        scaler = ExternalScaler(decided, name, namespace, event_log, view.is_at_zero)
        host, port = settings.stack.metrics_host, settings.autoscaler.external_scaler_port
        async with external_scaler_server(scaler, host, port, credentials):
            event_log.record(
                "start",
                f"KEDA gets the number for Deployment {namespace}/{name} on port {port}",
            )
            yield view
