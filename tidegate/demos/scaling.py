"""`tidegate demo`: training, load, scaling and search in one command.

Train the model, start a stack with one replica and the simulated device, send the `seed` load, show the
scaling decisions, then find the slowest request in its logs, trace and metrics. Each step is a public command
in a child process, so that you can repeat it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from tidegate.demos.running import heading, result, run_module, wait_for_events
from tidegate.settings import Settings
from tidegate.stack.load import ROWS, load_arguments
from tidegate.stack.supervisor.programs import console_url
from tidegate.store import open_store
from tidegate.store.base import SearchRequest
from tidegate.terminal_console import Console

# The settings of the demo. They show scaling on two cores: a request occupies one of two slots for 30, 80 or
# 200 ms, so a replica serves about 19 requests per second, and the 30 of the load `seed` need two or three.
SETTINGS: Final = {
    "TIDEGATE_DEVICE__SIMULATED": "true",
    "TIDEGATE_SLOTS__PER_REPLICA": "2",
    "TIDEGATE_REPLICAS__START": "1",
    "TIDEGATE_REPLICAS__MIN": "1",
    "TIDEGATE_AUTOSCALER__ENABLED": "true",
}
INVALID_RUN: Final = 98
DELIVERY_SECONDS: Final = 30.0


def demo(settings: Settings) -> int:
    """Run the demo. Returns the exit code: 0 if every request succeeded and the objective was met again."""
    console = Console()
    environment = {**os.environ, **SETTINGS}
    runs = Path("runs")
    heading(console, "1  The model")
    if run_module(environment, "tidegate", "train", "--out", str(settings.model.path)):
        return 1
    heading(console, "2  The stack, with one replica")
    console.print("The accelerator is simulated: a request occupies a slot for 30, 80 or 200 ms.")
    if run_module(environment, "tidegate", "up", "--detach"):
        return 1
    try:
        started = datetime.now(UTC)
        heading(console, "3  The load: 30 requests per second for 40 seconds")
        code = run_module(environment, *_load_command(settings, runs))
        if code not in {0, INVALID_RUN}:
            return 1
        summary = json.loads((runs / "latest" / "summary.json").read_text(encoding="utf-8"))
        heading(console, "4  The decisions of the autoscaler")
        stored = wait_for_events(
            settings,
            "event.dataset:tidegate.request",
            started,
            summary["answered"],
            DELIVERY_SECONDS,
        )
        console.print(_decisions(settings, started))
        heading(console, "5  The slowest request")
        _show_slowest(console, settings, environment, started)
        heading(console, "Summary")
        code = _verdict(console, settings, summary, stored, invalid=code == INVALID_RUN)
        console.print(_addresses(settings, runs))
        if sys.stdin.isatty() and sys.stdout.isatty():
            _wait_for_interrupt(console)
    finally:
        stopped = run_module(environment, "tidegate", "down")
    return code or stopped


def _load_command(settings: Settings, runs: Path) -> list[str]:
    return [
        *("tidegate.loadgen", *load_arguments(settings, "seed", runs)),
        *("--rows", str(settings.model.path / ROWS), "--threshold", "failed<=0"),
    ]


def _search(settings: Settings, request: SearchRequest) -> list[dict[str, Any]]:
    store = open_store(settings, read_only=True)
    try:
        return store.search(request).hits
    finally:
        store.close()


def _decisions(settings: Settings, started: datetime) -> Table:
    table = Table("when", "decision", "why", box=None, pad_edge=False)
    request = SearchRequest(
        query="event.dataset:tidegate.decision", since=started, order="asc", size=1000
    )
    last = None
    for event in _search(settings, request):
        decision = event["tidegate"]["decision"]
        # A line for each change; the ticks in between repeat the decision.
        if (decision["desired"], decision["reason"]) != last:
            last = (decision["desired"], decision["reason"])
            table.add_row(event["@timestamp"][11:19], decision["reason"], str(event["message"]))
    return table


def _show_slowest(
    console: Console, settings: Settings, environment: Mapping[str, str], started: datetime
) -> None:
    request = SearchRequest(query="event.dataset:tidegate.request", since=started, size=10_000)
    slowest = max(_search(settings, request), key=lambda event: int(event["event"]["duration"]))
    trace_id = slowest["trace"]["id"]
    console.print(f"$ tidegate search 'trace.id:{trace_id}'", style="dim", highlight=False)
    run_module(environment, "tidegate", "search", f"trace.id:{trace_id}")
    console.print(f"\n$ tidegate trace {trace_id}", style="dim", highlight=False)
    run_module(environment, "tidegate", "trace", trace_id)


def _verdict(
    console: Console, settings: Settings, summary: Mapping[str, Any], stored: int, *, invalid: bool
) -> int:
    slo = settings.slo.latency_seconds
    last_third_p95 = summary["response_p95_last_third_seconds"]
    checks = [
        (
            summary["failed"] == 0 and summary["answered"] == summary["planned"],
            (
                f"{summary['planned']} requests planned, {summary['sent']} sent, "
                f"{summary['answered']} answered, {summary['failed']} failed"
            ),
        ),
        (
            (summary["replicas_max"] or 0) > (summary["replicas_min"] or 0),
            f"replicas went from {summary['replicas_min']} to {summary['replicas_max']}",
        ),
        (
            last_third_p95 is not None and last_third_p95 <= slo,
            (
                f"p95 was {summary['response_p95_seconds']:.2f} s over the whole run and "
                f"{last_third_p95 or float('nan'):.2f} s in its last third; the objective is {slo} s"
            ),
        ),
        (
            stored == summary["answered"],
            f"{stored} request events in the store for {summary['answered']} answers",
        ),
    ]
    for passed, text in checks:
        result(console, text, passed=passed)
    if invalid:
        lag = summary["lag_p99_seconds"] * 1e3
        console.print(
            f"! this machine was too busy to send on time (lag p99 {lag:.0f} ms): "
            "the latencies above are not valid measurements",
            style="yellow",
        )
    return 0 if all(passed for passed, _ in checks) else 1


def _addresses(settings: Settings, runs: Path) -> Table:
    table = Table.grid(padding=(0, 2))
    if console := console_url(settings):
        table.add_row("console", console)
    table.add_row("report", str(runs / "latest" / "report.html"))
    table.add_row("service", f"http://127.0.0.1:{settings.gateway.port}/docs")
    table.add_row("metrics", f"http://127.0.0.1:{settings.prometheus.port}")
    table.add_row("logs", "tidegate search 'tidegate.work:heavy AND event.duration:>500000000'")
    table.add_row("settings", "tidegate.toml")
    return table


def _wait_for_interrupt(console: Console) -> None:
    try:
        console.print("\nThe stack keeps running. Ctrl-C stops it.")
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print()
