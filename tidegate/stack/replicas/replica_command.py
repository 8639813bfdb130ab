"""The command of a replica: the model service, an ASGI application, or a command of the settings."""

from __future__ import annotations

import sys
from pathlib import Path

from tidegate.settings import Settings
from tidegate.settings.replica_command import fill_command
from tidegate.stack.replicas.addresses import (
    HOST,
    replica_metrics_port,
    replica_name,
    replica_port,
)
from tidegate.stack.replicas.release import Release


def replica_argv(settings: Settings, index: int) -> tuple[str, ...]:
    """The words of the command of a replica with this index; the paths of the settings are absolute."""
    port = replica_port(settings, index)
    if command := settings.replicas.command:
        values = {
            "host": HOST,
            "port": str(port),
            "metrics_port": str(replica_metrics_port(settings, index)),
            "node_name": replica_name(settings, index),
            "slots": str(settings.slots.per_replica),
        }
        return fill_command(command, values)
    # -P: the working directory is not searched for modules, which may have the names of installed packages.
    python = (sys.executable, "-P", "-m")
    service = settings.service
    if service.app:
        ready = ("--ready", service.ready) if service.ready else ()
        return (
            *(*python, "tidegate.serving", service.app, "--host", HOST, "--port", str(port)),
            *("--app-dir", str(service.app_dir), *ready),
        )
    return (*python, "tidegate.service", "--port", str(port))


def replica_variables(
    settings: Settings, index: int, release: Release, slots_file: Path
) -> dict[str, str]:
    """The environment variables of a replica, beside those of all settings, whose paths are absolute."""
    variables = {
        "TIDEGATE_SERVICE__NODE_NAME": replica_name(settings, index),
        # Many servers read their port from it.
        "PORT": str(replica_port(settings, index)),
    }
    if settings.telemetry.metrics_port is not None:
        port = replica_metrics_port(settings, index)
        variables["TIDEGATE_TELEMETRY__METRICS_PORT"] = str(port)
    if not settings.replica_program:
        variables["TIDEGATE_MODEL__PATH"] = str(release.model_path)
        variables["TIDEGATE_MODEL__DIGEST"] = release.digest or settings.model.digest
        if release.shadow:
            variables["TIDEGATE_MODEL__SHADOW_PATH"] = str(release.shadow)
    if settings.slots.max is not None:
        variables["TIDEGATE_SLOTS__FILE"] = str(slots_file)
    return variables
