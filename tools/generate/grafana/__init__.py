"""Grafana's dashboards, one YAML file each, and its data sources, for observability/grafana/.

`definitions.py` reads the files; `dashboard.py`, `panels.py` and `queries.py` build what they name.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from tidegate.settings import Settings

with warnings.catch_warnings():
    # The SDK recommends version 2 of the schema, which Grafana does not read from files.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tools.generate.grafana import data_sources, runbooks
    from tools.generate.grafana.definitions import dashboard_json

FOLDER: Final = Path("observability/grafana/dashboards")
NAMES: Final = ("service", "scaling", "pipeline", "model", "host")
"""Each has a YAML file of its name here."""


def grafana_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of each dashboard and of the data sources."""
    dashboards = {name: dashboard_json(name, settings) for name in NAMES}
    dashboards["runbooks"] = runbooks.dashboard_json()
    return {
        data_sources.FILE: data_sources.data_sources_yaml(settings),
        **{FOLDER / f"{name}.json": text for name, text in dashboards.items()},
    }
