"""`tidegate demo-drift`: a year of flights sent through a running stack, and the report on it.

Time is compressed: a month takes some seconds. Thresholds and windows are those in use; only the time that
drift must last before an alert fires is shortened, as the months are.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
from rich.table import Table

from tidegate.demos.flights_year.data_folder import (
    command_prefix,
    environment_variables,
    in_own_folder,
    prepare,
)
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import CONTROL, ReplayPeriod, replay_periods
from tidegate.demos.flights_year.replay import Pace, ReplayError, RunningStack, replay
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.demos.flights_year.verdict import (
    ALERT_SECONDS,
    CERTAIN,
    alert_table,
    checks,
    period_results,
    period_table,
)
from tidegate.demos.running import heading, result, run_module, wait_for_events
from tidegate.monitoring.report.counter_increases import (
    TIMEOUT_SECONDS,
    Floats,
    increases_by,
    query_range,
)
from tidegate.monitoring.report.findings import Findings
from tidegate.monitoring.report.page import to_html
from tidegate.monitoring.report.run import collect_findings, prometheus_url
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.periods import Period
from tidegate.runtime.prometheus import Prometheus
from tidegate.service.model.artefact import load
from tidegate.service.model.features import Schema
from tidegate.service.training.flights import read_flights
from tidegate.settings import Settings
from tidegate.store.base import StoreUnavailableError
from tidegate.terminal.served_model import read_model
from tidegate.terminal_console import Console

SEGMENTS: Final = ("carrier", "origin")
HOLD_SECONDS: Final = 15.0
# Two replicas, so that the figures are sums over several; none starts or stops during the replay.
SETTINGS: Final = {
    "TIDEGATE_AUTOSCALER__ENABLED": "false",
    "TIDEGATE_DEVICE__SIMULATED": "false",
    "TIDEGATE_DRIFT__HOLD_SECONDS": str(HOLD_SECONDS),
    "TIDEGATE_DRIFT__SEGMENTS": '["carrier", "origin"]',
    "TIDEGATE_REPLICAS__MIN": "2",
    "TIDEGATE_REPLICAS__START": "2",
}
REQUEST_ROWS: Final = 50
SETTLE_SCRAPES: Final = 1.5
DELIVERY_SECONDS: Final = 60.0
NOTE: Final = (
    "Time is compressed: each month of 2013 took some seconds, and its labels arrived one month later. "
    "The control period has held-out rows of the training window, weighted to the distributions at training."
)


def demo_drift(settings: Settings, *, months: int, rows: int, seconds: float, out: Path) -> int:
    """Send some months from March on, each with `rows` rows within `seconds`, and write the report.

    Returns:
        The exit code: 0 if every request was answered, every label stored, and each feature that has drifted
        far has its alert.
    """
    console, defaults = Console(), settings
    changes = {"segments": SEGMENTS, "hold_seconds": HOLD_SECONDS}
    drift = settings.drift.model_copy(update=changes)
    settings = in_own_folder(settings).model_copy(update={"drift": drift})
    environment = {**os.environ, **SETTINGS, **environment_variables(settings)}
    heading(console, "1  Train the model")
    if run_module(environment, "tidegate", "train", "--out", str(settings.model.path)):
        return 1
    artefact = load(settings.model.path)
    model, flights = read_model(artefact), read_flights()
    schema = Schema(artefact.manifest.features)
    periods = replay_periods(flights, model.reference, months=months, rows=rows)
    heading(console, "2  Start the stack with two replicas")
    try:
        prepare(settings)
    except ReplayError as error:
        result(console, str(error), passed=False)
        return 1
    if run_module(environment, "tidegate", "up", "--detach"):
        return 1
    try:
        heading(console, f"3  Send {months} months of flights, {seconds:g} seconds each")
        pace = Pace(seconds, REQUEST_ROWS, SETTLE_SCRAPES * settings.prometheus.scrape_seconds)
        record = asyncio.run(
            replay(
                _stack(settings, model), schema, periods, pace,
                lambda text: console.print(text, highlight=False),
            )
        )  # fmt: skip
        categories = [each.categories for each in schema.features]
        truth = GroundTruth(model.reference, categories, periods, record)
        found, good = _show(console, settings, model, record=record, truth=truth, sent=periods)
        prefix = command_prefix(settings, defaults)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(to_html(found, note=NOTE, command_prefix=prefix), encoding="utf-8")
        console.print(_next_steps(prefix, out))
        code = 0 if good else 1
    except (ReplayError, StoreUnavailableError) as error:
        result(console, str(error), passed=False)
        code = 1
    finally:
        stopped = run_module(environment, "tidegate", "down")
    return code or stopped


def _show(
    console: Console,
    settings: Settings,
    model: Model,
    *,
    record: ReplayRecord,
    truth: GroundTruth,
    sent: Sequence[ReplayPeriod],
) -> tuple[Findings, bool]:
    periods = [Period(each.name, *span) for each, span in zip(sent, record.spans, strict=True)]
    span = Period("all", periods[0].begin, time.time())
    query, since = "event.dataset:tidegate.outcome", datetime.fromtimestamp(span.begin, UTC)
    stored = wait_for_events(settings, query, since, record.labelled, DELIVERY_SECONDS)
    found, expected_correct = asyncio.run(_query(settings, model, span, periods))
    results = period_results(found, expected_correct, truth)
    heading(console, "4  Results by period")
    console.print(period_table(results))
    heading(console, "5  Alerts")
    console.print(alert_table(found))
    heading(console, "Summary")
    if found.counters.error:
        raise ReplayError(found.counters.error)
    at, drift = record.labelled_at[-1] - ALERT_SECONDS, settings.drift
    drifted = truth.drifted(at, CERTAIN * drift.psi_critical, drift.samples)
    good, counts = True, {"sent": record.labelled, "stored": stored}
    for holds, text in checks(results, found.counters.alerts, drifted, **counts, control=CONTROL):
        result(console, text, passed=holds)
        good = good and holds
    return found, good


def _next_steps(prefix: str, out: Path) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("report", str(out))
    table.add_row("labels", f"{prefix}tidegate search 'event.dataset:tidegate.outcome'")
    table.add_row("changes", f"{prefix}tidegate search 'event.dataset:tidegate.drift'")
    return table


async def _query(
    settings: Settings, model: Model, span: Period, periods: list[Period]
) -> tuple[Findings, Floats]:
    found = await collect_findings(settings, model, span, periods)
    query = f'ml_expected_correct_total{{job="model", version="{model.version}"}}'
    async with aiohttp.ClientSession(trust_env=False) as session:
        client = Prometheus(session, prometheus_url(settings), TIMEOUT_SECONDS)
        counters = await query_range(client, query, span.begin, span.end)
    return found, increases_by(counters, periods, span.begin)[()]


def _stack(settings: Settings, model: Model) -> RunningStack:
    url = f"http://127.0.0.1:{settings.gateway.port}"
    return RunningStack(url, prometheus_url(settings), model.version)
