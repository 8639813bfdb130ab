"""The identity of a component in the events that it writes, and the writer of its event files."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.settings import Settings


def event_origin(settings: Settings, node: str) -> Origin:
    """The origin of a component's events: the monitored service, the version of Tidegate and the node."""
    service = settings.service
    return Origin(service.name, own_version(), service.environment, node, service.namespace)


def own_version() -> str:
    """The version of Tidegate; `unknown` in a checkout that is not installed."""
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return "unknown"


def event_writer(settings: Settings, node: str) -> EventWriter:
    """The writer of a component's event files.

    Raises:
        OSError: the folder of the event files cannot be created.
    """
    telemetry = settings.telemetry
    return EventWriter(
        settings.log_dir,
        node,
        telemetry.file_bytes,
        telemetry.file_seconds,
        settings.collector.line_bytes,
    )
