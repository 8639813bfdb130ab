"""The name of an application that is instrumented without one in its settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tidegate.settings import Settings

DEFAULT_TITLE: Final = "FastAPI"
MOST: Final = 63


def with_own_name(settings: Settings, app: Any, module: Mapping[str, Any]) -> Settings:
    """The settings, with the application's own name unless `service.name` is set.

    Args:
        settings: as they were read.
        app: a FastAPI application may have a title.
        module: the globals of the module that instruments it.
    """
    if "name" in settings.service.model_fields_set:
        return settings
    title = getattr(app, "title", "")
    name = service_name(title if title != DEFAULT_TITLE else "") or service_name(_module(module))
    if not name:
        return settings
    return settings.model_copy(
        update={"service": settings.service.model_copy(update={"name": name})}
    )


def service_name(text: str) -> str:
    """A text as `service.name`: lower-case letters, digits and hyphens; may be empty."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:MOST].rstrip("-")


def _module(module: Mapping[str, Any]) -> str:
    """The package or module, or the script if it was started as one."""
    name = str(module.get("__name__", ""))
    if name == "__main__":
        return str(module.get("__package__") or Path(str(module.get("__file__", ""))).stem)
    return name.partition(".")[0]
