"""The panels of a dashboard: Lens panels that it holds itself, and saved searches that it shows."""

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
        """As the dashboard holds it."""
        return {"x": self.x, "y": self.y, "w": self.width, "h": self.height, "i": panel}


@dataclass(frozen=True, slots=True)
class LensPanel:
    """A panel that Lens draws.

    Attributes:
        id: its own in the dashboard.
        title: what stands above it.
        place: where it lies.
        chart: stacked bars, lines, one number, or a table.
        view: where it looks.
        query: Lucene; empty means everything.
        columns: groups first, as Lens nests them.
    """

    id: str
    title: str
    place: GridPosition
    chart: Literal["bar_stacked", "line", "number", "table"]
    view: DataView
    query: str
    columns: tuple[Column, ...]

    def content(self) -> dict[str, Any]:
        """The panel as the dashboard holds it."""
        layer = {
            "columnOrder": [column.id for column in self.columns],
            "columns": {column.id: column.content() for column in self.columns},
            "incompleteColumns": {},
        }
        kind, visualization = self._visualization()
        return {
            "type": "lens",
            "panelIndex": self.id,
            "gridData": self.place.grid(self.id),
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

    def reference(self) -> Reference:
        """The dashboard's own reference to what the panel needs."""
        return self._reference(f"{self.id}:{LAYER_REFERENCE}")

    def _reference(self, name: str) -> Reference:
        return {"type": "index-pattern", "id": self.view.id, "name": name}

    def _visualization(self) -> tuple[str, dict[str, Any]]:
        layer: dict[str, Any] = {"layerId": LAYER, "layerType": "data"}
        measures = [
            each.id for each in self.columns if not isinstance(each, DateHistogram | TopValues)
        ]
        if self.chart == "number":
            return "lnsMetric", {**layer, "metricAccessor": measures[0]}
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
                    "accessors": measures,
                }
            ],
        }


@dataclass(frozen=True, slots=True)
class SavedSearchPanel:
    """A saved search as a panel."""

    id: str
    title: str
    place: GridPosition
    search: Search

    def content(self) -> dict[str, Any]:
        """The panel as the dashboard holds it."""
        return {
            "type": "search",
            "panelIndex": self.id,
            "gridData": self.place.grid(self.id),
            "title": self.title,
            "embeddableConfig": {"enhancements": {}},
            "panelRefName": self._name,
        }

    def reference(self) -> Reference:
        """The dashboard's own reference to what the panel needs."""
        return {"type": "search", "id": self.search.id, "name": f"{self.id}:{self._name}"}

    @property
    def _name(self) -> str:
        return f"panel_{self.id}"


Panel = LensPanel | SavedSearchPanel
