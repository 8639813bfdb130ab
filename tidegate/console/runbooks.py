"""The runbooks of the alerts as HTML, in which queries are links."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from html import escape
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlencode

from markdown_it import MarkdownIt
from markupsafe import Markup

from tidegate.console.search_request import Wanted
from tidegate.console.series import DEFAULT
from tidegate.observability_files.paths import observability_folder

SEARCH: Final = "$ tidegate search "
# What leads from one to another, as Grafana has it.
GRAFANA: Final = re.compile(r"\[(\w+)\]\(/d/[^)]*\)")


@cache
def runbooks() -> Mapping[str, str]:
    """The text of each runbook by the name of its alert, in Markdown."""
    path = observability_folder() / "grafana/dashboards/runbooks.json"  # as package data
    panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return {one["title"]: one["options"]["content"] for one in panels if one["type"] == "text"}


def rendered(text: str, prometheus: str) -> Markup:
    """A runbook as HTML; queries of metrics lead to this Prometheus, unless it is empty."""

    def fence(_: Any, tokens: Any, index: int, *__: Any) -> str:
        block = tokens[index]
        lines = (_linked(one, block.info, prometheus) for one in block.content.splitlines())
        return "<pre>" + "\n".join(lines) + "</pre>\n"

    markdown = MarkdownIt("commonmark", {"html": False})
    markdown.add_render_rule("fence", fence)
    return Markup(markdown.render(GRAFANA.sub(r"[\1](/runbooks/\1)", text)))  # noqa: S704 - its text is ours, and HTML in it is escaped


def _linked(line: str, language: str, prometheus: str) -> str:
    """A line of a block; a search or a query of metrics is a link to what it finds."""
    url = ""
    if language == "promql" and prometheus and line.strip():
        url = f"{prometheus}/graph?{urlencode({'g0.expr': line, 'g0.tab': 0, 'g0.range_input': '1h'})}"
    elif line.startswith(SEARCH):
        words = shlex.split(line.removeprefix(SEARCH))
        url = Wanted(q=words[0], since=dict(pairwise(words)).get("--since", DEFAULT)).url()
    return f'<a href="{escape(url)}">{escape(line)}</a>' if url else escape(line)
