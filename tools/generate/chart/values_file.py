"""Reads values.yaml of the chart with its comments, which are the meaning of each value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from tools.generate.checkout import ROOT

CHART: Final = ROOT / "deploy" / "helm" / "tidegate"
# Mappings whose keys are the user's own.
OPEN: Final = frozenset(
    {
        "gateway.ingress.annotations",
        "gateway.service.annotations",
        "model.affinity",
        "model.podAnnotations",
        "model.podLabels",
        "model.preStop",
        "prometheus.labels",
        "prometheus.rules",
    }
)
OPEN_ANYWHERE: Final = frozenset({"resources", "nodeSelector"})


@dataclass(frozen=True, slots=True)
class Value:
    """A value, or a mapping of values."""

    name: str  # the dotted name
    default: Any
    meaning: str  # the comment above it; empty without one
    # The values of a mapping; None for a single value or a mapping of the user's own keys.
    children: tuple[Value, ...] | None = None

    def leaves(self) -> Iterator[Value]:
        """The single values in it."""
        if self.children is None:
            yield self
            return
        for child in self.children:
            yield from child.leaves()


def read_values(text: str | None = None) -> tuple[Value, ...]:
    """The values of a values.yaml in its order; by default of the chart's.

    Raises:
        OSError: the file cannot be read.
    """
    source = (CHART / "values.yaml").read_text(encoding="utf-8") if text is None else text
    node = yaml.compose(source)
    assert node is not None, "values.yaml is empty"  # noqa: S101
    return _values(node, "", source.splitlines(), yaml.safe_load(source))


def is_open(name: str) -> bool:
    """Whether the keys of this mapping are the user's own."""
    return name in OPEN or name.rpartition(".")[2] in OPEN_ANYWHERE


def _values(node: yaml.Node, prefix: str, lines: list[str], loaded: Any) -> tuple[Value, ...]:
    found = []
    for key, child in node.value:
        name, default = f"{prefix}{key.value}", loaded[key.value]
        nested = isinstance(child, yaml.MappingNode) and child.value and not is_open(name)
        children = _values(child, f"{name}.", lines, default) if nested else None
        found.append(Value(name, default, _comment(lines, key.start_mark.line), children))
    return tuple(found)


def _comment(lines: list[str], line: int) -> str:
    """The comment on the lines right above a line."""
    found: list[str] = []
    for text in reversed(lines[:line]):
        stripped = text.strip()
        if not stripped.startswith("#"):
            break
        found.append(stripped.removeprefix("#").strip())
    return "\n".join(reversed(found))
