"""The identity of an instrumented application in its events: its names, version and environment."""

from __future__ import annotations

import os
import re
import socket
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.settings import Settings

FASTAPI_DEFAULT_TITLE: Final = "FastAPI"
MAX_NAME_LENGTH: Final = 63
MAX_NODE_LENGTH: Final = 100


@dataclass(slots=True, weakref_slot=True)
class Identity:
    """The origin of an application's events; a forked process gets its own node name if none is configured.

    Attributes:
        origin: the current `service.*` fields.
        renew: creates the origin of a forked process; None if the node name is configured.
    """

    origin: Origin
    renew: Callable[[], Origin] | None = None

    @classmethod
    def of(cls, settings: Settings, version: str, origin: Origin | None) -> Identity:
        """The identity with this origin; without one, from the settings."""
        if origin is not None:
            return cls(origin)
        if settings.service.node_name:
            return cls(make_origin(settings, version))
        return cls(make_origin(settings, version), lambda: make_origin(settings, version))

    def follow_forks(self, writer: EventWriter) -> None:
        """Renew the origin, and the writer's node name, in each forked process."""
        identity_ref, writer_ref = weakref.ref(self), weakref.ref(writer)

        def in_child() -> None:
            identity, child_writer = identity_ref(), writer_ref()
            if identity is not None and child_writer is not None and identity.renew is not None:
                identity.origin = identity.renew()
                child_writer.node = identity.origin.node

        os.register_at_fork(after_in_child=in_child)


def make_origin(settings: Settings, version: str) -> Origin:
    """The origin of this process. Its node is `<name>-<host>-<pid>` unless `service.node_name` is set."""
    service = settings.service
    host = node_label(socket.gethostname())[:60]
    return Origin(
        service=service.name,
        version=version,
        environment=service.environment,
        node=service.node_name or f"{service.name}-{host}-{os.getpid()}",
        namespace=service.namespace,
    )


def node_label(text: str) -> str:
    """A text as `service.node.name`: at most 100 letters, digits, `.`, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text)[:MAX_NODE_LENGTH]


def with_app_name(settings: Settings, app: Any, module: Mapping[str, Any]) -> Settings:
    """The settings, with the application's name as `service.name` unless that is set.

    Args:
        settings: the loaded settings.
        app: the application; the title of a FastAPI application is its name.
        module: the globals of the module that instruments it, whose name is the fallback.
    """
    if "name" in settings.service.model_fields_set:
        return settings
    title = getattr(app, "title", "")
    title = "" if title == FASTAPI_DEFAULT_TITLE else title
    name = service_name(title) or service_name(_module_name(module))
    if not name:
        return settings
    return settings.model_copy(
        update={"service": settings.service.model_copy(update={"name": name})}
    )


def service_name(text: str) -> str:
    """A text as `service.name`: lower-case letters, digits and hyphens; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MAX_NAME_LENGTH].rstrip("-")


def _module_name(module: Mapping[str, Any]) -> str:
    """The top-level package or module; the name of the script if it was started as one."""
    name = str(module.get("__name__", ""))
    if name == "__main__":
        return str(module.get("__package__") or Path(str(module.get("__file__", ""))).stem)
    return name.partition(".")[0]
