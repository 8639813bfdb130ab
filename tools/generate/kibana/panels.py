"""The panels of a dashboard: Lens panels, which are part of the dashboard, and saved searches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from tidegate.observability_files.kibana import DataView
from tools.generate.kibana.columns import Column, DateHistogram, TopValues
from tools.generate.kibana.searches import Search, lucene

LAYER: Final = "L1"
LAYER_REFERENCE: Final = f"indexpattern-datasource-layer-{LAYER}"
TABLE_ROWS: Final = 10
Reference = dict[str, str]


@dataclass(frozen=True, slots=True)
class GridPosition:
    """The position of a panel on the dashboard's grid of 48 columns."""

    x: int
    y: int
    width: int
    height: int

    def grid(self, panel: str) -> dict[str, Any]:
        """The position in the form of a dashboard."""
        return {"x": self.x, "y": self.y, "w": self.width, "h": self.height, "i": panel}


@dataclass(frozen=True, slots=True)
class LensPanel:
    """A panel drawn by Lens.

    Attributes:
        id: unique in the dashboard.
        title: its heading.
        position: on the dashboard's grid.
        chart: stacked bars, lines, one number, or a table.
        view: the data view that it searches.
        query: in Lucene's syntax; empty matches every event.
        columns: groups first, in the order of nesting.
    """

    id: str
    title: str
    position: GridPosition
    chart: Literal["bar_stacked", "line", "number", "table"]
    view: DataView
    query: str
    columns: tuple[Column, ...]

    def content(self) -> dict[str, Any]:
        """The panel in the form of a dashboard."""
        layer = {
            "columnOrder": [column.id for column in self.columns],
            "columns": {column.id: column.content() for column in self.columns},
            "incompleteColumns": {},
        }
        kind, visualization = self._visualization()
        return {
            "type": "lens",
            "panelIndex": self.id,
            "gridData": self.position.grid(self.id),
            "title": self.title,
            "embeddableConfig": {
                "enhancements": {},
                "attributes": {
                    "title": "",
                    "type": "lens",
                    "visualizationType": kind,
                    "references": [self._reference(LAYER_REFERENCE)],
                    "state": {
                        "query": lucene(self.query),
                        "filters": [],
                        "internalReferences": [],
                        "adHocDataViews": {},
                        "datasourceStates": {"formBased": {"layers": {LAYER: layer}}},
                        "visualization": visualization,
                    },
                },
            },
        }

    def references(self) -> list[Reference]:
        """The dashboard's reference to the object that the panel needs."""
        return [self._reference(f"{self.id}:{LAYER_REFERENCE}")]

    def _reference(self, name: str) -> Reference:
        return {"type": "index-pattern", "id": self.view.id, "name": name}

    def _visualization(self) -> tuple[str, dict[str, Any]]:
        layer: dict[str, Any] = {"layerId": LAYER, "layerType": "data"}
        metrics = [
            each.id for each in self.columns if not isinstance(each, DateHistogram | TopValues)
        ]
        if self.chart == "number":
            return "lnsMetric", {**layer, "metricAccessor": metrics[0]}
        if self.chart == "table":
            columns = [{"columnId": column.id} for column in self.columns]
            paging = {"size": TABLE_ROWS, "enabled": True}
            return "lnsDatatable", {**layer, "columns": columns, "paging": paging}
        (time,) = (each.id for each in self.columns if isinstance(each, DateHistogram))
        split = [each.id for each in self.columns if isinstance(each, TopValues)]
        return "lnsXY", {
            "preferredSeriesType": self.chart,
            "legend": {"isVisible": True, "position": "right"},
            "valueLabels": "hide",
            "layers": [
                {
                    **layer,
                    "seriesType": self.chart,
                    "xAccessor": time,
                    **({"splitAccessor": split[0]} if split else {}),
                    "accessors": metrics,
                }
            ],
        }


@dataclass(frozen=True, slots=True)
class SavedSearchPanel:
    """A saved search as a panel."""

    id: str
    title: str
    position: GridPosition
    search: Search

    def content(self) -> dict[str, Any]:
        """The panel in the form of a dashboard."""
        return {
            "type": "search",
            "panelIndex": self.id,
            "gridData": self.position.grid(self.id),
            "title": self.title,
            "embeddableConfig": {"enhancements": {}},
            "panelRefName": self._name,
        }

    def references(self) -> list[Reference]:
        """The dashboard's reference to the object that the panel needs."""
        return [{"type": "search", "id": self.search.id, "name": f"{self.id}:{self._name}"}]

    @property
    def _name(self) -> str:
        return f"panel_{self.id}"


@dataclass(frozen=True, slots=True)
class TextPanel:
    """Text in Markdown as a panel without a heading."""

    id: str
    position: GridPosition
    text: str

    def content(self) -> dict[str, Any]:
        """The panel in the form of a dashboard."""
        return {
            "type": "visualization",
            "panelIndex": self.id,
            "gridData": self.position.grid(self.id),
            "title": "",
            "embeddableConfig": {
                "enhancements": {},
                "savedVis": {
                    "id": "",
                    "title": "",
                    "description": "",
                    "type": "markdown",
                    "params": {"fontSize": 12, "openLinksInNewTab": True, "markdown": self.text},
                    "uiState": {},
                    "data": {"aggs": [], "searchSource": {"query": lucene(""), "filter": []}},
                },
            },
        }

    def references(self) -> list[Reference]:
        """None: it needs no object."""
        return []


Panel = LensPanel | SavedSearchPanel | TextPanel
