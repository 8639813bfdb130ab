"""docs/reference/kubernetes.md: the values of the chart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from tidegate.rules.yaml_text import NOTE
from tools.generate.chart.values_file import Value

INTRODUCTION: Final = """\
The values of `deploy/helm/tidegate`. helm refuses a name that is not here, and says which. By task:
[Kubernetes](../how-to/kubernetes.md). In parentheses is the default; `{}` and `[]` take what the field of
that name takes in Kubernetes."""
LONGEST_DEFAULT: Final = 80


def values_page(values: Iterable[Value]) -> str:
    """The text of the page."""
    lines = [f"<!-- {NOTE} -->", "# Values of the Helm chart", "", INTRODUCTION]
    top = [one for one in values if one.children is None]
    sections = [one for one in values if one.children is not None]
    lines += ["", "## General", "", *_list(top)]
    for section in sections:
        lines += ["", f"## {section.name}", ""]
        if section.meaning:
            lines += [_sentence(section.meaning), ""]
        lines += _list(section.leaves())
    return "\n".join(lines) + "\n"


def _list(values: Iterable[Value]) -> list[str]:
    return [f"- `{one.name}` (`{_default(one)}`){_meaning(one.meaning)}" for one in values]


def _default(value: Value) -> str:
    text = json.dumps(value.default)
    return text if len(text) <= LONGEST_DEFAULT else "see values.yaml"


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _meaning(text: str) -> str:
    return ": " + text.replace("\n", "<br>") if text else ""
