"""`tidegate monitor report`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tidegate.monitoring.report.findings import Findings, build_findings, query_counters
from tidegate.monitoring.report.labelled_rows import MAX_LABELS, read_labelled_rows
from tidegate.monitoring.report.model_choice import ChosenModel, first_answer, newer_version
from tidegate.monitoring.report.page import to_html
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.periods import Period, even_periods
from tidegate.monitoring.tasks.registry import make_task
from tidegate.observability_files.kibana import trace_path
from tidegate.settings import Settings
from tidegate.store.base import EventStore, StoreUnavailableError
from tidegate.store.kinds import open_store, store_server
from tidegate.store.query import time_ranges

EXIT_ERROR: Final = 2
PERIODS: Final = 12


def report(
    settings: Settings,
    *,
    since: str,
    out: Path,
    choose_model: Callable[[EventStore, datetime], ChosenModel],
) -> int:
    """Write the report on a model, beginning with a duration such as `1d` or a time.

    Args:
        settings: the store, Prometheus and the thresholds.
        since: the begin of the report.
        out: the file to write.
        choose_model: the model, by the store and the begin of its events; raises `NoModelError` if there is
            none.

    Returns:
        The exit code: 0, or 2 with an error on stderr if the model, the store or the file is unavailable.
    """
    now = datetime.now(UTC)
    try:
        begin = _begin(since, now)
        span = Period("all", begin.timestamp(), now.timestamp())
        # The periods divide the time of this model: with a day before the first answer, all would be in one.
        with closing(open_store(settings, read_only=True)) as store:
            chosen = choose_model(store, begin)
            first = first_answer(store, chosen.model, begin)
        # From two scrapes before it, so that its counters begin in the first period.
        first = max(span.begin, first - 2 * settings.prometheus.scrape_seconds)
        periods = even_periods(first, span.end, PERIODS)
        found = asyncio.run(collect_findings(settings, chosen.model, span, periods))
    except (ValueError, StoreUnavailableError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_ERROR
    note = ""
    if found.overall.labels >= MAX_LABELS:
        note = f"This report contains only the first {MAX_LABELS:,} labels: choose a later --since."
    page = to_html(
        found,
        trace_url=partial(kibana_trace_url, settings),
        model_source=chosen.source,
        note=note,
        option=chosen.option,
    )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        sys.stderr.write(f"--out: {out} cannot be written: {error.strerror}\n")
        return EXIT_ERROR
    sys.stdout.write(f"{out}: {found.badge[0]}; {found.overall.labels} labels\n")
    if found.counters.error:
        sys.stderr.write(f"no distributions: {found.counters.error}\n")
    if found.newer:
        of = f"{found.model.name} {found.model.version}"
        sys.stderr.write(
            f"version {found.newer.version} answers now, but the report is on {of} ({chosen.source}): "
            f"to report on the newer version, name it with {chosen.option}\n"
        )
    return 0


async def collect_findings(
    settings: Settings, model: Model, span: Period, periods: list[Period]
) -> Findings:
    """The findings over a span of time, from the labelled rows and the counters.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    task = make_task(model, settings.drift)
    counters = await query_counters(prometheus_url(settings), model, settings.drift, span, periods)
    since, segments = datetime.fromtimestamp(span.begin, UTC), settings.drift.segments
    with closing(open_store(settings, read_only=True)) as store:
        rows = read_labelled_rows(store, task, since, segments)
        newer = newer_version(store, model, since)
    return build_findings(task, rows, counters, span=span, periods=periods, newer=newer)


def prometheus_url(settings: Settings) -> str:
    """The URL of the stack's Prometheus."""
    return f"http://{settings.stack.host}:{settings.prometheus.port}"


def _begin(since: str, now: datetime) -> datetime:
    begin = time_ranges.when(since, now)
    if begin >= now:
        raise ValueError(f"--since: {since} is not in the past")
    return begin


def kibana_trace_url(settings: Settings, trace: str) -> str:
    """The page of Kibana with every event of a trace; empty for the embedded store, which has none."""
    if not store_server(settings):
        return ""
    return settings.kibana.url.rstrip("/") + trace_path(settings, quote(trace, safe=""))
