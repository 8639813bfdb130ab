"""`tidegate demo-drift`: the year of flights through a running stack, and the report on it.

Time is compressed: a month passes in some seconds. Thresholds and windows are those in use; only how long
drift must hold before an alert fires is shortened with the months.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tidegate.demos.flights_year.data_folder import before_command, empty, place, variables
from tidegate.demos.flights_year.expected_alerts import due
from tidegate.demos.flights_year.ground_truth import Truth
from tidegate.demos.flights_year.periods import CONTROL, Month, months
from tidegate.demos.flights_year.record import Record
from tidegate.demos.flights_year.sending import Pace, ReplayError, Target, replay
from tidegate.demos.flights_year.verdict import alert_table, checks, lines, month_table
from tidegate.drift.report.counter_increases import Floats, growth_by, samples
from tidegate.drift.report.findings import Findings, Model
from tidegate.drift.report.page import to_html
from tidegate.drift.report.periods import Period
from tidegate.drift.report.run import find
from tidegate.service.model.artefact import load
from tidegate.service.model.features import Schema
from tidegate.service.training.flights import read_flights
from tidegate.settings import Settings
from tidegate.stack.terminal.served_model import read_model
from tidegate.store import open_store
from tidegate.store.base import SearchRequest, StoreUnavailableError

SEGMENTS: Final = ("carrier", "origin")
HOLD_SECONDS: Final = 15.0
# Two replicas, so that what is shown is counted over both; none comes or goes meanwhile.
DEMO: Final = {
    "TIDEGATE_AUTOSCALER__ENABLED": "false",
    "TIDEGATE_DEVICE__SIMULATED": "false",
    "TIDEGATE_DRIFT__HOLD_SECONDS": str(HOLD_SECONDS),
    "TIDEGATE_DRIFT__SEGMENTS": '["carrier", "origin"]',
    "TIDEGATE_REPLICAS__MIN": "2",
    "TIDEGATE_REPLICAS__START": "2",
}
REQUEST_ROWS: Final = 50
SCRAPES_OF_QUIET: Final = 1.5
DELIVERY_SECONDS: Final = 60.0
NOTE: Final = (
    "Time is compressed: each month of 2013 passed in some seconds, and its labels came one month later. "
    "The control are held-out rows of the training window, weighted to be distributed as at training."
)


def demo_drift(settings: Settings, *, count: int, rows: int, seconds: float, out: Path) -> int:
    """Run it.

    Args:
        settings: of the stack to start.
        count: months, from March on.
        rows: of each.
        seconds: that each takes.
        out: the report's file.

    Returns:
        The exit code: 0 if every request was answered, every label stored, every alert explained, and none
        missing.
    """
    console, usual = Console(), settings
    changes = {"segments": SEGMENTS, "hold_seconds": HOLD_SECONDS}
    drift = settings.drift.model_copy(update=changes)
    settings = place(settings).model_copy(update={"drift": drift})
    environment = {**os.environ, **DEMO, **variables(settings)}
    console.rule("[bold]1  The model")
    if _run(environment, "train", "--out", str(settings.model.path)):
        return 1
    artefact = load(settings.model.path)
    model, flights = read_model(artefact), read_flights()
    schema = Schema(artefact.manifest.features)
    sent = months(flights, model.reference, count=count, rows=rows)
    console.rule("[bold]2  The stack, with two replicas")
    try:
        empty(settings)
    except ReplayError as error:
        console.print(f"[red]✗[/] {error}", highlight=False)
        return 1
    if _run(environment, "up", "--detach"):
        return 1
    try:
        console.rule(f"[bold]3  {count} months of flights, {seconds:g} seconds each")
        pace = Pace(seconds, REQUEST_ROWS, SCRAPES_OF_QUIET * settings.prometheus.scrape_seconds)
        record = asyncio.run(
            replay(
                _target(settings, model), schema, sent, pace,
                lambda text: console.print(text, highlight=False),
            )
        )  # fmt: skip
        truth = Truth(model, [each.categories for each in schema.features], sent, record, drift)
        found, good = _show(console, settings, model, record=record, truth=truth, sent=sent)
        before = before_command(settings, usual)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(to_html(found, note=NOTE, before=before), encoding="utf-8")
        console.print(_places(before, out))
        code = 0 if good else 1
    except (ReplayError, StoreUnavailableError) as error:
        console.print(f"[red]✗[/] {error}", highlight=False)
        code = 1
    finally:
        stopped = _run(environment, "down")
    return code or stopped


def _show(
    console: Console,
    settings: Settings,
    model: Model,
    *,
    record: Record,
    truth: Truth,
    sent: Sequence[Month],
) -> tuple[Findings, bool]:
    periods = [Period(month.name, *span) for month, span in zip(sent, record.spans, strict=True)]
    span = Period("all", periods[0].begin, time.time())
    stored = _wait_for_delivery(settings, span.begin, record.labelled)
    found, expected = asyncio.run(_ask(settings, model, span, periods))
    reasons = {alert: truth.reason(alert) for alert in found.counted.alerts}
    found = replace(found, reasons={alert: reason.text for alert, reason in reasons.items()})
    made = lines(found, expected, truth)
    console.rule("[bold]4  Month by month")
    console.print(month_table(made))
    console.rule("[bold]5  The alerts, and why")
    console.print(alert_table(found, reasons))
    console.rule("[bold]In short")
    if found.counted.trouble:
        raise ReplayError(found.counted.trouble)
    wanted = due(
        truth, begin=span.begin, end=record.known[-1], hold_seconds=settings.drift.hold_seconds
    )
    good, counts = True, {"sent": record.labelled, "stored": stored}
    for holds, text in checks(made, reasons, wanted, **counts, control=CONTROL):
        console.print(f"[green]✓[/] {text}" if holds else f"[red]✗[/] {text}", highlight=False)
        good = good and holds
    return found, good


def _places(before: str, out: Path) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("report", escape(str(out)))
    table.add_row("labels", escape(f"{before}tidegate search 'event.dataset:tidegate.outcome'"))
    table.add_row("changes", escape(f"{before}tidegate search 'event.dataset:tidegate.drift'"))
    return table


async def _ask(
    settings: Settings, model: Model, span: Period, periods: list[Period]
) -> tuple[Findings, Floats]:
    found = await find(settings, model, span, periods)
    query = f'ml_expected_correct_total{{job="model", version="{model.version}"}}'
    async with aiohttp.ClientSession(trust_env=False) as session:
        prometheus = _prometheus(settings)
        counters = await samples(session, prometheus, query, span.begin, span.end)
    return found, growth_by(counters, periods, span.begin)[()]


def _wait_for_delivery(settings: Settings, begin: float, labels: int) -> int:
    """The number of outcomes in the store, once all that were sent are there."""
    since = datetime.fromtimestamp(begin, UTC)
    request = SearchRequest(query="event.dataset:tidegate.outcome", since=since, size=0)
    deadline = time.monotonic() + DELIVERY_SECONDS
    with closing(open_store(settings, read_only=True)) as store:
        while (found := store.search(request).total) < labels and time.monotonic() < deadline:
            time.sleep(settings.collector.poll_seconds)
    return found


def _target(settings: Settings, model: Model) -> Target:
    url = f"http://127.0.0.1:{settings.gateway.port}"
    return Target(url, _prometheus(settings), model.version)


def _prometheus(settings: Settings) -> str:
    return f"http://{settings.stack.host}:{settings.prometheus.port}"


def _run(environment: Mapping[str, str], *command: str) -> int:
    return subprocess.run(
        [sys.executable, "-P", "-m", "tidegate", *command], env=environment, check=False
    ).returncode
