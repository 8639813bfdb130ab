"""The files in observability/kibana: data views and saved objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from tidegate.observability_files.kibana import DATA_VIEWS_FILE, SAVED_OBJECTS_FILE, ndjson
from tidegate.settings import Settings
from tools.generate.kibana import data_views
from tools.generate.kibana.dashboard import OVERVIEW
from tools.generate.kibana.searches import searches

FOLDER: Final = Path("observability")


def saved_objects(settings: Settings) -> list[dict[str, Any]]:
    """All objects in the order of the import: the searches, then the dashboard that refers to one."""
    return [
        *(search.saved_object() for search in searches(settings)),
        OVERVIEW.saved_object(),
    ]


def kibana_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of each generated file."""
    views = orjson.dumps(
        data_views.data_view_requests(settings),
        option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE,
    )
    return {
        FOLDER / DATA_VIEWS_FILE: views.decode(),
        FOLDER / SAVED_OBJECTS_FILE: ndjson(saved_objects(settings)).decode(),
    }
