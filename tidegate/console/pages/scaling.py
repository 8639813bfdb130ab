"""The page of scaling: each decision with its reason, and what other policies would have done."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.autoscaler.audit.intervals import (
    QUERY,
    SIGNALS,
    Interval,
    decision_of,
    merge_unchanged,
)
from tidegate.autoscaler.live.override import OverrideFile
from tidegate.autoscaler.live.pause_command import make_override
from tidegate.console.event_view import seconds_of
from tidegate.console.series import (
    Range,
    chart,
    chosen_range,
    keys_of,
    read_lines,
)
from tidegate.console.site import Page, Site, read_form
from tidegate.console.sources import Problems, Sources, between
from tidegate.events.event import Event
from tidegate.lab.replay.counterfactual import WRAPPERS, replay_other
from tidegate.lab.replay.decisions import read_decisions
from tidegate.lab.replay.what_if import Totals, totals
from tidegate.settings import Settings
from tidegate.stack.snapshot import ARRIVALS, QUEUE
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.search import pages
from tidegate.store.search.event_lines import value_of

PAGE: Final = Page("scaling", "/scaling", "Scaling")
SECONDS: Final = 5.0
REPLAY_SECONDS: Final = 15.0
SPANS: Final = ("5m", "15m", "1h")
MAX_DECISIONS: Final = 1000
PAGE_SIZE: Final = 25
LOG_LINES: Final = 30
OTHERS: Final = ("hpa:inflight=0.7", "kpa", "ray-serve")
CHARTS: Final = (
    chart("Requests per second", {"arriving": ARRIVALS}),
    chart("Queue", {"queued": QUEUE}),
)
DECIDED: Final = "tidegate_replicas desired"


def others(settings: Settings) -> list[str]:
    """The policies to compare with the one that runs."""
    return [one for one in OTHERS if one != settings.autoscaler.policy]


@dataclass(frozen=True, slots=True)
class Replays:
    """The log of a range, and what each other policy would have done.

    Attributes:
        log: newest first.
        times: of the decisions, in seconds since 1970.
        numbers: the number at each of them, by policy.
        totals: by policy; the recorded one is the first.
        problem: why nothing was replayed; empty if it was.
    """

    log: list[Interval]
    times: list[float]
    numbers: Mapping[str, list[int]]
    totals: Mapping[str, Totals]
    problem: str = ""

    def column(self, policy: str, times: Sequence[float]) -> list[int | None]:
        """The number that a policy would have had at each of these times."""
        indices = (bisect_right(self.times, at) - 1 for at in times)
        return [self.numbers[policy][index] if index >= 0 else None for index in indices]


NOTHING: Final = Replays([], [], {}, {})


async def read_replays(sources: Sources, begin: float, end: float) -> Replays:
    """The log and the replays between two times in seconds since 1970.

    Raises:
        StoreUnavailableError: the store cannot be searched now.
    """
    request = between(begin, end, QUERY, size=PAGE_SIZE)
    return await sources.in_thread(
        lambda: _replays(_decisions(sources.store, request), sources.settings)
    )


def _decisions(store: EventStore, request: SearchRequest) -> list[Event]:
    """The decisions, newest first. Whole, those of an hour would take 30 MB of memory."""
    found: list[Event] = []
    same: dict[bytes, Any] = {}
    for event in pages.events(store, request, MAX_DECISIONS):
        if found:
            found[-1] = _shortened(found[-1], same)
        found.append(event)
    return found


def _shortened(event: Event, same: dict[bytes, Any]) -> Event:
    """What the log and a replay read of a decision that is not the first one; equal parts are one object."""
    decision = decision_of(event)
    inputs = decision.get("inputs") or {}

    def shared(value: Any) -> Any:
        return same.setdefault(orjson.dumps(value), value)

    kept = {name: shared(inputs[name]) for name in ("parameters", *WRAPPERS) if name in inputs}
    state = shared({"left out": True} if decision.get("state") else {})
    return {
        **{name: event[name] for name in ("@timestamp", "message") if name in event},
        "event": shared({"dataset": value_of(event, "event.dataset")}),
        "tidegate": {"decision": {**decision, "inputs": kept, "state": state}},
    }


def _replays(events: list[Event], settings: Settings) -> Replays:
    """The log and the replays of these decisions, which it takes out of the list."""
    log = list(merge_unchanged(reversed(events)))[::-1][:LOG_LINES]
    problems: list[str] = []
    oldest_first = (events.pop() for _ in range(len(events)))
    decisions = list(read_decisions(oldest_first, lambda _, why: problems.append(why)))
    times = [seconds_of(one.event) for one in decisions]
    numbers: dict[str, list[int]] = {}
    sums: dict[str, Totals] = {}
    try:
        for policy in others(settings):
            rows = replay_other(decisions, policy, settings)
            recorded, sums[policy] = totals(rows)
            sums = {settings.autoscaler.policy: recorded, **sums}
            numbers[policy] = [row.other.desired for row in rows]
    except ValueError as error:
        problems.append(str(error))
        numbers = {}
    return Replays(log, times, numbers, sums, problems[0] if problems else "")


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    sources, settings = site.sources, site.sources.settings
    compared = chart(
        "Replicas",
        {"decided": DECIDED} | {one: f"other/{one}" for one in others(settings)},
        steps=True,
        height=240,
        lead=True,
    )
    recorded = [*keys_of(CHARTS), DECIDED]

    async def read(span: Range) -> dict[str, Any]:
        problems, end = Problems(), span.until or time.time()
        replayed = partial(read_replays, sources, end - span.seconds, end)
        found, lines = await asyncio.gather(
            problems.of(site.live.get((PAGE.name, span), REPLAY_SECONDS, replayed), NOTHING),
            problems.of(read_lines(sources.prometheus, recorded, span, end), None),
        )
        if lines:
            for policy in found.numbers:
                lines["values"][f"other/{policy}"] = found.column(policy, lines["times"])
        override, _ = OverrideFile(settings.control_file).read(time.time())
        return {
            "override": override,
            "replays": found,
            "most": MAX_DECISIONS,
            "span": span,
            "ranges": SPANS,
            "compared": compared,
            "charts": CHARTS,
            "control": settings.console.control,
            "signals": SIGNALS,
            "problems": problems.found,
            "chart": {"lines": lines},
        }

    found = site.live_page(PAGE, partial(chosen_range, names=SPANS), read, SECONDS)
    if settings.console.control:
        change = partial(_change, site)
        found.append(Route("/scaling/override", change, methods=["POST"]))
    return found


async def _change(site: Site, request: Request) -> Response:
    """Pause the autoscaler, set its bounds or let it decide again; the event says that it was done here."""
    settings, fields = site.sources.settings, await read_form(request)
    file = OverrideFile(settings.control_file)
    if fields.get("do") == "resume":
        file.remove()
        words = "a person ended the pause or the bounds in the console"
        return site.changed(PAGE, "resume", words)
    try:
        low, high = (int(text) if (text := fields.get(name)) else None for name in ("min", "max"))
        override = make_override(settings, low, high, fields.get("for", ""))
    except (ValueError, OverflowError) as error:
        return PlainTextResponse(f"nothing was changed: {error}", 422)
    file.write(override)
    words = f"{override.description}: set by a person in the console"
    return site.changed(PAGE, "override", words)
