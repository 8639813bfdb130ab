"""The page of errors: the exceptions of a range, grouped by their type and the place that raised them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.routing import BaseRoute

import tidegate
from tidegate.console.event_view import seconds_of
from tidegate.console.problems import Problems
from tidegate.console.search_request import Wanted
from tidegate.console.series import Range, chosen_range
from tidegate.console.site import Page, Site, clock
from tidegate.console.sources import between
from tidegate.events.event import Event
from tidegate.store.query.literals import condition
from tidegate.store.search import pages
from tidegate.store.search.event_lines import text_of, value_of

PAGE: Final = Page("errors", "/errors", "Errors")
SECONDS: Final = 15.0
QUERY: Final = "data_stream.type:logs AND error.type:* AND log.level:(error OR critical OR fatal)"
# With their stack traces they are large: a page of them at a time is in memory.
MAX_ERRORS: Final = 5000
PAGE_SIZE: Final = 50
MAX_GROUPS: Final = 100
# In a group of exceptions a bar is before it.
FRAME: Final = re.compile(r'^[ |]*File "([^"]+)", line (\d+), in (.+)$', re.MULTILINE)
# Frames of the standard library, of what is installed, and of Tidegate are not the application's.
FOREIGN: Final = re.compile(
    rf"/(site|dist)-packages/|/lib(64)?/python\d|^<|^{re.escape(str(Path(tidegate.__file__).parent))}/"
)


@dataclass(slots=True)
class Group:
    """The errors of one type from one place; `first` and `last` are in seconds since 1970.

    `message` and `trace` are of the newest one that has them, `count` is of those that were read: what a
    request logs and raises is one. `seen` has a hash for each.
    """

    type: str
    place: str
    last: float
    first: float = 0.0
    count: int = 0
    message: str = ""
    trace: str = ""
    versions: set[str] = field(default_factory=set)
    seen: set[int] = field(default_factory=set)

    def add(self, event: Event) -> None:
        """Count an error, which is older than those before."""
        message, trace = text_of(event, "error.message"), text_of(event, "trace.id")
        self.seen.add(hash((message, trace or self.count)))
        self.count = len(self.seen)
        self.first = seconds_of(event)
        self.message = self.message or message
        self.trace = self.trace or trace
        self.versions |= {text_of(event, "service.version")} - {""}


def place_of(stack_trace: str, package: str = "") -> str:
    """The innermost frame of the application, as `shop/price.py:12 in total`, or else of all; empty without.

    Its code is in `package`, even if that is installed, and in what is not.
    """
    frames, installed = FRAME.findall(stack_trace), f"-packages/{package}/"
    own = [one for one in frames if installed in one[0] or not FOREIGN.search(one[0])]
    shown = ((Path(path).parts[-2:], line, name) for path, line, name in reversed(own or frames))
    return next((f"{'/'.join(path)}:{line} in {name}" for path, line, name in shown), "")


def grouped(errors: Iterable[Event], package: str) -> list[Group]:
    """The groups of these errors, newest first, the most frequent group first."""
    found: dict[tuple[str, str], Group] = {}
    for one in errors:
        stack = value_of(one, "error.stack_trace")
        key = (
            text_of(one, "error.type"),
            place_of(stack if isinstance(stack, str) else "", package),
        )
        found.setdefault(key, Group(*key, seconds_of(one))).add(one)
    return sorted(found.values(), key=lambda one: -one.count)


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    sources = site.sources
    package = sources.settings.service.app.partition(":")[0].partition(".")[0]

    async def read(span: Range) -> dict[str, Any]:
        problems, end = Problems(), span.until or time.time()
        begin = end - span.seconds
        asked = between(begin, end, QUERY, size=PAGE_SIZE)
        errors = pages.events(sources.store, asked, MAX_ERRORS)
        read = await problems.read(groups=sources.in_thread(lambda: grouped(errors, package)))
        groups = read["groups"] or []
        return {
            "groups": groups[:MAX_GROUPS],
            "more": len(groups) - MAX_GROUPS,
            "all": sum(one.count for one in groups),
            "most": MAX_ERRORS,
            "search": lambda kind: Wanted(
                q=f"{condition('error.type', kind)} AND data_stream.type:logs",
                since=clock(begin) if span.until else span.name,
                until=clock(end) if span.until else "",
            ).url(),
            "span": span,
            "problems": problems,
            "chart": None,
        }

    return site.live_page(PAGE, chosen_range, read, SECONDS)
