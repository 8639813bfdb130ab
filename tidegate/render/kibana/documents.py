"""The files in observability/kibana that `tidegate render` writes, and what `tidegate setup kibana` sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from tidegate.render.kibana import data_views
from tidegate.render.kibana.dashboard import OVERVIEW
from tidegate.render.kibana.searches import searches
from tidegate.settings import Settings

FOLDER: Final = Path("observability/kibana")
OBJECTS_FILE: Final = "saved-objects.ndjson"


def saved_objects(settings: Settings) -> list[dict[str, Any]]:
    """Every object that is imported: searches first, then the dashboard that shows one."""
    return [
        *(search.saved_object() for search in searches(settings)),
        OVERVIEW.saved_object(),
    ]


def ndjson(objects: list[dict[str, Any]]) -> bytes:
    """The objects, one a line, as Kibana imports them."""
    return b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in objects)


def kibana_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of each generated file."""
    views = orjson.dumps(
        data_views.requests(settings), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    return {
        FOLDER / "data-views.json": views.decode(),
        FOLDER / OBJECTS_FILE: ndjson(saved_objects(settings)).decode(),
    }
