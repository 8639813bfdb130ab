"""The dashboards in observability/kibana, and what each of their panels shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from tidegate.observability_files.kibana import (
    MAY_BE_EMPTY,
    DataView,
    SavedSearch,
    data_views,
    saved_objects,
    saved_searches,
)
from tidegate.settings import Settings

OFTEN_EMPTY: Final = frozenset({"Failed requests", "Top errors"})
"""The titles of panels that show events only after an error."""

_DATA_VIEW: Final = "index-pattern"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of a dashboard."""

    id: str  # unique in its dashboard; Kibana keeps it
    title: str
    kind: Literal["lens", "search"]  # drawn by Lens from its columns, or a saved search
    view: DataView
    query: str  # Lucene; empty matches every event
    # Of Lens: groups in the order of their nesting, then metrics. A saved search has none.
    columns: Mapping[str, Any]
    may_be_empty: bool  # whether it shows something only when something is wrong


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard."""

    id: str  # never changes
    title: str  # what a person selects it by
    since: str  # start of its time range, which ends now, such as `now-24h`
    panels: tuple[Panel, ...]  # in reading order


def dashboards(settings: Settings) -> list[Dashboard]:
    """Every dashboard."""
    views = {view.id: view for view in data_views(settings)}
    searches = {search.id: search for search in saved_searches(settings)}
    return [
        Dashboard(
            each["id"],
            each["attributes"]["title"],
            each["attributes"]["timeFrom"],
            tuple(
                _panel(panel, each["references"], views, searches)
                for panel in orjson.loads(each["attributes"]["panelsJSON"])
                if panel["type"] != "visualization"  # a text searches nothing
            ),
        )
        for each in saved_objects(settings)
        if each["type"] == "dashboard"
    ]


def _panel(
    panel: dict[str, Any],
    references: list[dict[str, str]],
    views: Mapping[str, DataView],
    searches: Mapping[str, SavedSearch],
) -> Panel:
    id_, title = panel["panelIndex"], panel["title"]
    (referred,) = (one for one in references if one["name"].startswith(f"{id_}:"))
    if referred["type"] != _DATA_VIEW:
        search = searches[referred["id"]]
        empty = search.id in MAY_BE_EMPTY
        return Panel(id_, title, "search", search.view, search.query, {}, empty)
    state = panel["embeddableConfig"]["attributes"]["state"]
    (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
    columns = {name: layer["columns"][name] for name in layer["columnOrder"]}
    query = state["query"]["query"]
    return Panel(id_, title, "lens", views[referred["id"]], query, columns, title in OFTEN_EMPTY)
