"""One replica in a process of Ray Serve: the application, its metrics on their own port, and its health."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tidegate.ray.arrivals import ArrivalMetrics
from tidegate.ray.counters import cumulative_counters
from tidegate.ray.targets import TargetFile, remove_orphans
from tidegate.serving import Replica, load_app, load_ready_check, make_replica
from tidegate.serving.command import module_version
from tidegate.settings import Settings, SettingsError
from tidegate.telemetry import get_logger
from tidegate.telemetry.asgi import Receive, Scope, Send
from tidegate.telemetry.identity import node_label, with_app_name
from tidegate.telemetry.metrics_server import MetricsServer

POLL_SECONDS: Final = 0.05
HAPROXY_VARIABLE: Final = "RAY_SERVE_ENABLE_HA_PROXY"
"""With 1 in it, requests reach the replicas by HAProxy and not by Ray's own proxy."""

log = get_logger("tidegate.ray")


class UnhealthyError(RuntimeError):
    """The replica cannot serve; Ray replaces it. The text says why."""


class ServedReplica:
    """A replica as Ray Serve runs it. It is the ASGI application that Ray calls.

    Its metrics are served and registered from the start of the application's lifespan to its end.

    Args:
        replica: the application as a replica.
        node_address: the address of this machine for others, if the metrics listen on all addresses.
    """

    def __init__(self, replica: Replica, node_address: str = "") -> None:
        self.replica: Final = replica
        settings = replica.settings
        self._folder = settings.targets_dir
        self._host = settings.stack.metrics_host
        self._advertised = node_address if node_address and _is_any(self._host) else self._host
        registry = replica.telemetry.registry
        if os.environ.get(HAPROXY_VARIABLE) == "1":
            registry.register(ArrivalMetrics(lambda: replica.slots.busy))
        self._server = MetricsServer(registry, self._host, 0)
        self._target: TargetFile | None = None
        self._started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or run the lifespan."""
        if scope["type"] != "lifespan":
            await self.replica.app(scope, receive, send)
            return
        self._register()
        try:
            await self.replica.app(scope, receive, send)
        finally:
            self._unregister()

    async def check_health(self) -> None:
        """Return when the application has been ready once; Ray calls it at the start and every few seconds.

        One that `Lifecycle.watch` calls unable to serve later on repairs itself: Ray would replace it if this
        did not return.

        Raises:
            UnhealthyError: the application has failed.
        """
        lifecycle = self.replica.lifecycle
        while lifecycle.phase == "loading" and not self._started:  # noqa: ASYNC110  other threads never wait for it
            await asyncio.sleep(POLL_SECONDS)
        if lifecycle.phase == "failed":
            raise UnhealthyError(lifecycle.reason)
        self._started = True
        for node in await asyncio.to_thread(remove_orphans, self._folder):
            log.info("removed the metrics target of a replica that has ended", target=node)

    def cumulative_counters(self) -> Mapping[str, float]:
        """What the policy inside Ray computes rates from; see `tidegate.ray.counters`."""
        return cumulative_counters(self.replica.telemetry.registry, self.replica.settings.slo)

    def _register(self) -> None:
        remove_orphans(self._folder)
        self._server.open()
        address = f"[{self._advertised}]" if ":" in self._advertised else self._advertised
        node = self.replica.telemetry.origin.node
        target = TargetFile(self._folder, node, f"{address}:{self._server.port}")
        try:
            target.open()
        except OSError as error:
            self._server.close()
            raise SettingsError(
                f"ray.targets_dir: {self._folder} cannot be written ({error.strerror})"
            ) from error
        self._target = target

    def _unregister(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.close()
        self._server.close()


def build_replica(
    settings: Settings, target: str, replica_id: str, node_address: str = "", digest: str = ""
) -> ServedReplica:
    """The application of the settings, or the model service, as a replica with the name of Ray's.

    The target is `module:attribute`; empty for `service.app`, or the model service without it, whose model
    has the digest, unless `model.digest` names another one.

    Raises:
        LoadError: the application cannot be loaded.
        SettingsError: a setting is invalid.
    """
    target = target or settings.service.app
    if not target:
        return ServedReplica(_model_service(_named(settings, replica_id, digest)), node_address)
    folder = str(Path(settings.service.app_dir).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    app = load_app(target)
    check = load_ready_check(settings.service.ready) if settings.service.ready else None
    settings = with_app_name(settings, app, {"__name__": target.partition(":")[0]})
    replica = make_replica(
        app, _named(settings, replica_id), check=check, version=module_version(target)
    )
    return ServedReplica(replica, node_address)


def _named(settings: Settings, replica_id: str, digest: str = "") -> Settings:
    """The settings with the replica's name and model, and without a port that its neighbours would want."""
    service, telemetry = settings.service, settings.telemetry
    node = node_label(f"{service.name}-{replica_id}")
    return settings.model_copy(
        update={
            "service": service.model_copy(update={"node_name": node}),
            "model": settings.model.model_copy(update={"digest": settings.model.digest or digest}),
            "telemetry": telemetry.model_copy(update={"metrics_port": None}),
        }
    )


def _model_service(settings: Settings) -> Replica:
    from tidegate.service.http.app import create_app  # noqa: PLC0415  an application does not need it

    replica: Replica = create_app(settings).state.replica
    return replica


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
