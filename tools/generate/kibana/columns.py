"""The columns of a Lens panel: groups and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tidegate.store.fields import TIMESTAMP


@dataclass(frozen=True, slots=True)
class DateHistogram:
    """Groups by time, in intervals that Kibana derives from the time range."""

    id: str = "t"

    def content(self) -> dict[str, Any]:
        """The column in the form of Lens."""
        return {
            "label": TIMESTAMP,
            "dataType": "date",
            "operationType": "date_histogram",
            "sourceField": TIMESTAMP,
            "isBucketed": True,
            "scale": "interval",
            "params": {"interval": "auto", "includeEmptyRows": True, "dropPartials": False},
        }


@dataclass(frozen=True, slots=True)
class TopValues:
    """Groups by the values of a field, the largest values of the column `by` first."""

    label: str
    field: str
    by: str = "n"
    size: int = 5
    kind: Literal["string", "number"] = "string"
    other: bool = True
    id: str = "b"

    def content(self) -> dict[str, Any]:
        """The column in the form of Lens."""
        return {
            "label": self.label,
            "customLabel": True,
            "dataType": self.kind,
            "operationType": "terms",
            "sourceField": self.field,
            "isBucketed": True,
            "scale": "ordinal",
            "params": {
                "size": self.size,
                "orderBy": {"type": "column", "columnId": self.by},
                "orderDirection": "desc",
                "otherBucket": self.other,
                "missingBucket": False,
                "parentFormat": {"id": "terms"},
            },
        }


@dataclass(frozen=True, slots=True)
class Count:
    """The number of events."""

    label: str
    id: str = "n"

    def content(self) -> dict[str, Any]:
        """The column in the form of Lens."""
        return _metric(self.label, "count", "___records___", {"emptyAsNull": True})


@dataclass(frozen=True, slots=True)
class Percentile:
    """A percentile of a numeric field; the id is `p95` for the 95th."""

    percent: int
    field: str

    @property
    def id(self) -> str:
        """The column's id within its panel."""
        return f"p{self.percent}"

    def content(self) -> dict[str, Any]:
        """The column in the form of Lens."""
        return _metric(self.id, "percentile", self.field, {"percentile": self.percent})


@dataclass(frozen=True, slots=True)
class Maximum:
    """The largest value of a numeric field."""

    label: str
    field: str
    id: str = "max"

    def content(self) -> dict[str, Any]:
        """The column in the form of Lens."""
        return _metric(self.label, "max", self.field, {"emptyAsNull": True})


def _metric(label: str, operation: str, field: str, params: dict[str, Any]) -> dict[str, Any]:
    return {
        "label": label,
        "customLabel": True,
        "dataType": "number",
        "operationType": operation,
        "sourceField": field,
        "isBucketed": False,
        "scale": "ratio",
        "params": params,
    }


Column = DateHistogram | TopValues | Count | Percentile | Maximum
