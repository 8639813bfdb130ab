"""The deployment of Ray Serve around an application or the model service."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tidegate.runtime.optional_packages import exit_if_package_missing
from tidegate.settings import Settings, load
from tidegate.telemetry import get_logger

INITIAL_BACKOFF_SECONDS: Final = 0.005
MAX_BACKOFF_SECONDS: Final = 0.02
"""How long Ray's proxy waits before it looks for a free slot again. With Ray's own 0.5 s slots stay empty
while requests wait: p50 was 6.3 to 8.3 s against 1.6 s in one overload."""

log = get_logger("tidegate.ray")


def deployment(app: str = "", settings: Settings | None = None, **options: Any) -> Any:
    """A deployment whose replicas serve an ASGI application with Tidegate's slots, probes and telemetry.

    Bind it: `app = deployment("shop.main:app").bind()`. Its replicas read their own settings where they run,
    and serve the model that `model.path` is here and now, if they serve one.

    Args:
        app: the application, `module:attribute`; empty for `service.app`, or the model service without it.
        settings: the settings of the deployment; None reads them from tidegate.toml and the environment.
        options: of `ray.serve.deployment`, which override those that follow from the settings.

    Returns:
        A `ray.serve.Deployment`.

    Raises:
        SettingsError: a setting is invalid.
        SystemExit: Ray is not installed.
    """
    with exit_if_package_missing():
        from ray import serve  # noqa: PLC0415  an environment of its own has it
    settings = load() if settings is None else settings
    found: Any = serve.deployment(**(deployment_options(settings) | options))
    is_fixed = app or settings.service.app or settings.model.digest
    return found(_ingress(app, "" if is_fixed else model_digest(settings)))


def application(args: Mapping[str, Any]) -> Any:
    """Build the application: `import_path: tidegate.ray:application`.

    Args:
        args: `args` in the configuration. `app` is the application, `module:attribute`; without it,
            `service.app` or the model service is served.

    Returns:
        A `ray.serve.Application`.

    Raises:
        ValueError: an argument is unknown, or no text.
        SettingsError: a setting is invalid.
    """
    unknown = sorted(set(args) - {"app"})
    app = args.get("app", "")
    if unknown or not isinstance(app, str):
        raise ValueError(f'args: only `app` is known, as "shop.main:app" (got {dict(args)!r})')
    return deployment(app).bind()


def deployment_options(settings: Settings) -> dict[str, Any]:
    """The options of a deployment that follow from the settings."""
    from ray.serve.config import RequestRouterConfig  # noqa: PLC0415
    from ray.serve.schema import LoggingConfig  # noqa: PLC0415

    return {
        "name": settings.ray.deployment,
        # All waiting happens in front of the replicas, so that a new one takes over the backlog at once.
        "max_ongoing_requests": settings.slots.per_replica,
        "graceful_shutdown_timeout_s": settings.replicas.drain_seconds,
        "request_router_config": RequestRouterConfig(
            initial_backoff_s=INITIAL_BACKOFF_SECONDS, max_backoff_s=MAX_BACKOFF_SECONDS
        ),
        # Each request has an event of its own.
        "logging_config": LoggingConfig(encoding="JSON", enable_access_log=False),
    }


def model_digest(settings: Settings) -> str:
    """The digest of the model, so that all replicas of a deployment serve one; empty if it cannot be read."""
    from tidegate.service.artefacts.import_cache import find_model  # noqa: PLC0415  an application needs none
    from tidegate.service.model.artefact import ArtefactError  # noqa: PLC0415

    try:
        with ThreadPoolExecutor(1) as pool:  # an event loop may run in this thread
            found = pool.submit(asyncio.run, find_model(settings.model.path, settings)).result()
    except ArtefactError as error:
        log.warning(
            f"each replica serves what it finds at model.path, unless model.digest is set: {error}"
        )
        return ""
    return found.manifest.digest


def _ingress(app: str, digest: str) -> Any:
    from ray import serve  # noqa: PLC0415

    # A plain function: Ray takes any other callable for the application itself.
    def build() -> Any:
        import ray  # noqa: PLC0415

        from tidegate.ray.served_replica import build_replica  # noqa: PLC0415

        replica_id = serve.get_replica_context().replica_id.unique_id
        return build_replica(load(), app, replica_id, ray.util.get_node_ip_address(), digest)

    class Replica:
        """What Ray asks of a replica besides requests; `app` is what the builder returned."""

        app: Any

        async def check_health(self) -> None:
            await self.app.check_health()

        def record_autoscaling_stats(self) -> Mapping[str, float]:
            return dict(self.app.cumulative_counters())

    return serve.ingress(build)(Replica)
