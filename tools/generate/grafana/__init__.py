"""Grafana's dashboards, one module each, and its data sources, for observability/grafana/.

Only the generator needs grafana-foundation-sdk.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

from tidegate.settings import Settings

with warnings.catch_warnings():
    # The SDK recommends dashboards of version 2, which Grafana does not read from files.
    warnings.simplefilter("ignore", DeprecationWarning)
    from tools.generate.grafana import host, model, pages, pipeline, scaling, service, sources

FOLDER: Final = Path("observability/grafana/dashboards")


def grafana_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of each dashboard and of the data sources, for these settings."""
    made = {
        "service": service.dashboard_json(settings),
        "scaling": scaling.dashboard_json(settings),
        "pipeline": pipeline.dashboard_json(),
        "model": model.dashboard_json(settings),
        "host": host.dashboard_json(),
        "runbooks": pages.dashboard_json(),
    }
    return {
        sources.FILE: sources.data_sources(settings),
        **{FOLDER / f"{name}.json": text for name, text in made.items()},
    }
