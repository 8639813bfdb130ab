"""The runbooks of the alerts as HTML, in which queries are links."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import cache
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from markdown_it import MarkdownIt
from markupsafe import Markup

from tidegate.console.search_request import Wanted
from tidegate.console.series import DEFAULT
from tidegate.observability_files.paths import observability_folder

SEARCH: Final = "$ tidegate search "


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

    def link(renderer: Any, tokens: Any, index: int, *rest: Any) -> str:
        # As Grafana shows them, they lead to its own panels.
        if (name := tokens[index + 1].content) in runbooks():
            tokens[index].attrSet("href", f"/runbooks/{name}")
        return str(renderer.renderToken(tokens, index, *rest))

    markdown = MarkdownIt("commonmark", {"html": False})
    markdown.add_render_rule("fence", fence)
    markdown.add_render_rule("link_open", link)
    return Markup(markdown.render(text))  # noqa: S704 - its text is ours, and HTML in it is escaped


def _linked(line: str, language: str, prometheus: str) -> str:
    """A line of a block; a search or a query of metrics is a link to what it finds."""
    url = ""
    if language == "promql" and prometheus and line.strip():
        url = f"{prometheus}/graph?{urlencode({'g0.expr': line, 'g0.tab': 0, 'g0.range_input': '1h'})}"
    elif line.startswith(SEARCH):
        query, *options = shlex.split(line.removeprefix(SEARCH))
        since = options[options.index("--since") + 1] if "--since" in options else DEFAULT
        url = Wanted(q=query, since=since).url()
    return f'<a href="{escape(url)}">{escape(line)}</a>' if url else escape(line)
