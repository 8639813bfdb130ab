"""Grafana's dashboards, one module each, and its data sources, for observability/grafana/.

`dashboard.py`, `panels.py` and `queries.py` build them; `*_panels.py` hold the panels of a section.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from tidegate.settings import Settings

with warnings.catch_warnings():
    # The SDK recommends version 2 of the schema, which Grafana does not read from files.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tools.generate.grafana import (
        data_sources,
        host,
        model,
        pipeline,
        runbooks,
        scaling,
        service,
    )

FOLDER: Final = Path("observability/grafana/dashboards")


def grafana_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of each dashboard and of the data sources."""
    dashboards = {
        "service": service.dashboard_json(settings),
        "scaling": scaling.dashboard_json(settings),
        "pipeline": pipeline.dashboard_json(),
        "model": model.dashboard_json(settings),
        "host": host.dashboard_json(),
        "runbooks": runbooks.dashboard_json(),
    }
    return {
        data_sources.FILE: data_sources.data_sources_yaml(settings),
        **{FOLDER / f"{name}.json": text for name, text in dashboards.items()},
    }
