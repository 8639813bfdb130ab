"""What to do about an alert: the text of its runbook."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache

from tidegate.observability_files.paths import observability_folder


@cache
def runbooks() -> Mapping[str, str]:
    """The text of each runbook by the name of its alert, in Markdown; empty where they are not installed.

    They are package data as panels of a dashboard of Grafana.
    """
    path = "grafana/dashboards/runbooks.json"
    try:
        document = json.loads((observability_folder() / path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {
        panel["title"]: panel["options"]["content"]
        for panel in document["panels"]
        if panel["type"] == "text"
    }
