"""`tidegate monitor report`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tidegate.drift.report.findings import Findings, Model, count, gather
from tidegate.drift.report.labelled_rows import MOST, read_labelled
from tidegate.drift.report.model_choice import Subject, newer_version
from tidegate.drift.report.page import badge, to_html
from tidegate.drift.report.periods import Period, even_periods
from tidegate.settings import Settings
from tidegate.store.base import StoreUnavailableError
from tidegate.store.open_store import open_store
from tidegate.store.query import time_ranges

TROUBLE: Final = 2
PERIODS: Final = 12


def report(
    settings: Settings, *, since: str, out: Path, find_subject: Callable[[], Subject]
) -> int:
    """Write the page about a model.

    Args:
        settings: the store, Prometheus and the thresholds.
        since: how far back, `1d` or a moment.
        out: the file to write.
        find_subject: gives the model; raises `SubjectError` if there is none.

    Returns:
        The exit code: 0, or 2 with a sentence if there is no model, no store, or no place to write.
    """
    now = datetime.now(UTC)
    try:
        begin = _begin(since, now)
        span = Period("all", begin.timestamp(), now.timestamp())
        subject = find_subject()
        periods = even_periods(span.begin, span.end, PERIODS)
        found = asyncio.run(find(settings, subject.model, span, periods))
    except (ValueError, StoreUnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return TROUBLE
    note = note_of(found.overall.labels)
    page = to_html(found, kibana=kibana_of(settings), why=subject.why, note=note)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"--out: {out} cannot be written: {error.strerror}\n")
        return TROUBLE
    sys.stdout.write(f"{out}: {badge(found)[0]}; {found.overall.labels} labels\n")
    if found.counted.trouble:
        sys.stderr.write(f"no distributions: {found.counted.trouble}\n")
    if found.newer:
        of = f"{found.model.name} {found.model.version}"
        sys.stderr.write(
            f"{found.newer.version} answers by now, and the page is about {of} ({subject.why}): "
            "name the other with --model\n"
        )
    return 0


async def find(settings: Settings, model: Model, span: Period, periods: list[Period]) -> Findings:
    """What there is to say about a model and a span of time.

    Raises:
        StoreUnavailableError: the store cannot be asked now.
    """
    prometheus = f"http://{settings.stack.host}:{settings.prometheus.port}"
    counted = await count(prometheus, model, settings.drift, span, periods)
    since = datetime.fromtimestamp(span.begin, UTC)
    with closing(open_store(settings, read_only=True)) as store:
        rows = read_labelled(store, model.version, since, settings.drift.segments)
        newer = newer_version(store, model, since)
    return gather(model, settings.drift, rows, counted, span=span, periods=periods, newer=newer)


def _begin(since: str, now: datetime) -> datetime:
    begin = time_ranges.when(since, now)
    if begin >= now:
        raise ValueError(f"--since: {since} is not in the past")
    return begin


def note_of(labels: int) -> str:
    """What is to be said above a page that does not hold all labels."""
    if labels < MOST:
        return ""
    return f"Only the first {MOST:,} labels are in it: choose a later --since."


def kibana_of(settings: Settings) -> str:
    """Where Kibana is, if there is one: the embedded store has none."""
    return settings.kibana.url if settings.store.kind == "elasticsearch" else ""
