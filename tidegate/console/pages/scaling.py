"""The page of scaling: each decision with its reason, and what other policies would have done."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from starlette.routing import BaseRoute

from tidegate.autoscaler.audit.intervals import QUERY, SIGNALS, Interval, merge_unchanged
from tidegate.autoscaler.live.override import OverrideFile
from tidegate.autoscaler.live.pause_command import make_override
from tidegate.console.event_view import seconds_of
from tidegate.console.problems import Problems
from tidegate.console.series import DEFAULT, RANGES, Range, chart, chosen_range, read_lines
from tidegate.console.site import Page, Site
from tidegate.console.sources import between
from tidegate.events.event import Event
from tidegate.lab.replay.counterfactual import replay_other
from tidegate.lab.replay.decisions import read_decisions, shortened
from tidegate.settings import Settings
from tidegate.store.search import pages

PAGE: Final = Page("scaling", "/scaling", "Scaling")
SECONDS: Final = 5.0
REPLAY_SECONDS: Final = 15.0
SPANS: Final = ("5m", "15m", "1h")
MAX_DECISIONS: Final = 1000
PAGE_SIZE: Final = 25
LOG_LINES: Final = 30
OTHERS: Final = ("hpa:inflight=0.7", "kpa", "ray-serve")
DECIDED: Final = "tidegate_replicas desired"


class Replays(NamedTuple):
    """The log of a range, newest first, and what each other policy would have done.

    Its `numbers` are those at the `times` of the decisions, in seconds since 1970; `problem` says why it has
    none.
    """

    log: Sequence[Interval] = ()
    times: Sequence[float] = ()
    numbers: Mapping[str, Sequence[int]] = MappingProxyType({})
    problem: str = ""

    def columns(self, times: Sequence[float]) -> dict[str, list[int | None]]:
        """The number that each policy would have had at these times, by the key of its line."""
        indices = [bisect_right(self.times, at) - 1 for at in times]
        return {
            f"other/{policy}": [numbers[index] if index >= 0 else None for index in indices]
            for policy, numbers in self.numbers.items()
        }


def replays(events: list[Event], others: Sequence[str], settings: Settings) -> Replays:
    """The log and the replays of these decisions, newest first, which it takes out of the list."""
    log = list(merge_unchanged(reversed(events)))[::-1][:LOG_LINES]
    problems: list[str] = []
    oldest_first = (events.pop() for _ in range(len(events)))
    decisions = list(read_decisions(oldest_first, lambda _, why: problems.append(why)))
    times = [seconds_of(one.event) for one in decisions]
    numbers: dict[str, list[int]] = {}
    try:
        for policy in others:
            rows = replay_other(decisions, policy, settings)
            numbers[policy] = [row.other.desired for row in rows]
    except ValueError as error:
        problems.append(str(error))
        numbers = {}
    return Replays(log, times, numbers, problems[0] if problems else "")


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    sources, settings = site.sources, site.sources.settings
    # The policy that runs is not compared with itself.
    others = [one for one in OTHERS if one != settings.autoscaler.policy]
    lines = {"decided": DECIDED} | {one: f"other/{one}" for one in others}
    compared = chart("Replicas", lines, steps=True, height=240, lead=True)
    file = OverrideFile(settings.control_file)

    async def replayed(begin: float, end: float) -> Replays:
        asked = between(begin, end, QUERY, size=PAGE_SIZE)

        def read() -> Replays:
            # Whole, those of an hour would take 30 MB of memory.
            events = list(shortened(pages.events(sources.store, asked, MAX_DECISIONS)))
            return replays(events, others, settings)

        return await sources.in_thread(read)

    async def read(span: Range) -> dict[str, Any]:
        problems, end = Problems(), span.until or time.time()
        replaying = partial(replayed, end - span.seconds, end)
        read = await problems.read(
            replays=site.live.get((PAGE.name, span), REPLAY_SECONDS, replaying),
            lines=read_lines(sources.prometheus, [DECIDED], span, end),
        )
        found, lines = read["replays"] or Replays(), read["lines"]
        if lines:
            lines["values"] |= found.columns(lines["times"])
        override, _ = file.read(time.time())
        return {
            "override": override,
            "replays": found,
            "most": MAX_DECISIONS,
            "span": span,
            "ranges": SPANS,
            "compared": compared,
            "signals": [f"#{name}" for name in SIGNALS],
            "problems": problems,
            "chart": {"lines": lines},
        }

    async def change(asked: Mapping[str, str]) -> tuple[str, str]:
        if asked.get("do") == "resume":
            file.remove()
            return "resume", "a person ended the pause or the bounds in the console"
        low, high = (int(text) if (text := asked.get(name)) else None for name in ("min", "max"))
        override = make_override(settings, low, high, asked.get("for", ""))
        file.write(override)
        return "override", f"{override.description}: set by a person in the console"

    return [
        *site.live_page(PAGE, partial(chosen_range, names=SPANS), read, SECONDS),
        *site.form(PAGE, "/scaling/override", change, partial(read, RANGES[DEFAULT])),
    ]
