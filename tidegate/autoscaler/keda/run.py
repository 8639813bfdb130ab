"""The parts of the autoscaler that exist only where KEDA acts; importing them takes 35 MB."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import grpc

from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.keda.deployment_view import DeploymentView
from tidegate.autoscaler.keda.external_scaler import ExternalScaler
from tidegate.autoscaler.keda.tls import server_credentials
from tidegate.resizer.kubernetes.api import open_deployment
from tidegate.runtime.connections import WAIT_SECONDS, connection_limit
from tidegate.runtime.daemon import CannotStartError
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Settings

SETTING: Final = "autoscaler.external_scaler_port"
# Of open requests at the end.
GRACE_SECONDS: Final = 1.0
# A request has the metadata of one trigger.
MAX_REQUEST_BYTES: Final = 16_384
# KEDA has one stream per ScaledObject, and asks in turn.
MAX_REQUESTS: Final = 64
MAX_CONNECTIONS: Final = 4096
# A peer that vanished without a word is found within this, so that its stream ends.
KEEPALIVE_SECONDS: Final = 60.0
OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # Otherwise two servers share a port silently, and each gets a part of the requests.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", round(1000 * KEEPALIVE_SECONDS)),
    ("grpc.max_connection_idle_ms", round(1000 * 5 * KEEPALIVE_SECONDS)),
    ("grpc.server_handshake_timeout_ms", round(1000 * WAIT_SECONDS)),
)


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


@asynccontextmanager
async def external_scaler_server(
    scaler: ExternalScaler,
    host: str,
    port: int,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[None]:
    """Serve inside the block.

    Without credentials of TLS, the port has neither encryption nor login.

    Raises:
        CannotStartError: the port is taken.
    """
    # gRPC closes the new ones beyond its limit, not the silent ones, so the limit is high.
    limit = ("grpc.max_allowed_incoming_connections", connection_limit(MAX_CONNECTIONS))
    server = grpc.aio.server(options=(*OPTIONS, limit), maximum_concurrent_rpcs=MAX_REQUESTS)
    server.add_generic_rpc_handlers((scaler.handlers(),))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            server.add_insecure_port(address)
        else:
            server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise CannotStartError(
            f"{SETTING}: port {port} on {host} cannot be opened, probably because it is taken: set"
            f" {SETTING} to a free port"
        ) from error
    await server.start()
    try:
        yield
    finally:
        scaler.close()
        await server.stop(GRACE_SECONDS)
