"""Grafana's dashboards as they are committed: their panels, what they ask, and what is in an expression."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from support.checkout import ROOT

FOLDER: Final = ROOT / "observability" / "grafana" / "dashboards"

_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_WINDOW: Final = re.compile(r"\[[^\]]*\]")
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][\w:]*)?\s*\{([^}]*)\}")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME: Final = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?![\w:]*\s*\()")
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "by", "without", "on"})


@dataclass(frozen=True)
class Target:
    """One question of one panel."""

    dashboard: str
    panel: Mapping[str, Any]
    asked: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The data source's kind."""
        return str(self.asked["datasource"]["type"])

    @property
    def name(self) -> str:
        """For a failing test's reader."""
        return f"{self.dashboard} / {self.panel['title']} / {self.asked['refId']}"


def dashboards() -> dict[str, dict[str, Any]]:
    """Name and content of each."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))
    }


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that show something: no headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets(kind: str) -> list[Target]:
    """Every question to data sources of this kind."""
    return [
        target
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for asked in panel.get("targets", ())
        if (target := Target(name, panel, asked)).kind == kind
    ]


@dataclass(frozen=True)
class Names:
    """What an expression names.

    Attributes:
        selected: each metric, with the labels that it is selected by.
        grouped: the labels by which results are grouped or joined.
    """

    selected: dict[str, set[str]]
    grouped: set[str]


def names(expression: str) -> Names:
    """The metrics and labels in an expression of PromQL."""
    rest = _WINDOW.sub(" ", _TEXT.sub('""', expression))
    selected: dict[str, set[str]] = {}
    for metric, matchers in _SELECTOR.findall(rest):
        selected.setdefault(metric, set()).update(_MATCHER.findall(matchers))
    rest = _SELECTOR.sub(" ", rest)
    grouped = set(re.findall(r"\w+", " ".join(_GROUPING.findall(rest))))
    rest = _GROUPING.sub(" ", rest)
    for metric in set(_NAME.findall(rest)) - _WORDS:
        selected.setdefault(metric, set())
    return Names(selected, grouped)


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with a dashboard's variables filled in, the longest names first."""
    for name in sorted(values, key=len, reverse=True):
        text = text.replace(f"${name}", values[name])
    return text


def flat(fields: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The dotted names of an event's fields, as Grafana makes columns of them."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"
