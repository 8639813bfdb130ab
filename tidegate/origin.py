"""Who a part of Tidegate is in the events that it writes, and where it writes them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from tidegate.events import EventWriter, Origin
from tidegate.settings import Settings


def origin(settings: Settings, node: str) -> Origin:
    """The origin of a part's events: the service that it works for, our own version, and its name.

    Args:
        settings: those in force.
        node: the part's name (`service.node.name`).
    """
    try:
        ours = version("tidegate")
    except PackageNotFoundError:  # run from a folder that was never installed
        ours = "unknown"
    service = settings.service
    return Origin(service.name, ours, service.environment, node, service.namespace)


def event_writer(settings: Settings, node: str) -> EventWriter:
    """The writer of a part's event files.

    Args:
        settings: those in force.
        node: the part's name.

    Raises:
        OSError: their folder cannot be made.
    """
    telemetry = settings.telemetry
    return EventWriter(
        settings.log_dir,
        node,
        telemetry.file_bytes,
        telemetry.file_seconds,
        settings.collector.line_bytes,
    )
