"""Which requests take a slot, by their path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from tidegate.settings import Settings
from tidegate.telemetry.asgi import ASGIApp, layers

FREE_PATHS: Final = ("/live", "/ready", "/metrics", "/docs", "/redoc", "/openapi.json")
"""Probes, metrics and documentation: they take no slot unless `slots.paths` names them."""

_MANUAL: Final = "__tidegate_manual_slots__"


def manual_slots(app: Any, *paths: str) -> None:
    """Declare that an application acquires its slots itself, by `acquire_slot`.

    Args:
        app: the application; the declaration is an attribute of it.
        paths: the path prefixes at which it does; none means everywhere.
    """
    setattr(app, _MANUAL, paths or ("/",))


class PathPrefixes:
    """A set of paths and all that is below them: `/a` matches `/a` and `/a/b`, and not `/ab`."""

    def __init__(self, paths: Iterable[str]) -> None:
        stripped = [path.rstrip("/") for path in paths]
        self._exact = frozenset(stripped)
        self._below = tuple(f"{path}/" for path in stripped)

    def match(self, path: str) -> bool:
        """Whether the path is one of them or below one."""
        return path in self._exact or path.startswith(self._below)


class SlotPaths:
    """Decides by the path whether the middleware acquires a slot for a request.

    It is `manual` if the application acquires slots itself at some paths.
    """

    def __init__(self, settings: Settings, app: ASGIApp) -> None:
        chosen = settings.slots.paths
        self._chosen = PathPrefixes(chosen) if chosen else None
        free = () if chosen else (*FREE_PATHS, *settings.telemetry.quiet_paths)
        declared = tuple(_declared(app))
        self._free = PathPrefixes((*free, *declared))
        self.manual: Final = bool(declared)

    def count(self, path: str) -> bool:
        """Whether a request for this path takes a slot."""
        if self._free.match(path):
            return False
        return self._chosen is None or self._chosen.match(path)


def _declared(app: object) -> Iterator[str]:
    """The paths of `manual_slots`, of the application or of one that its middlewares wrap."""
    for layer in layers(app):
        yield from getattr(layer, _MANUAL, ())
