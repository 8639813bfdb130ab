"""The status of the stack as a table for the terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tidegate.runtime.event_log import Entry
from tidegate.stack.snapshot import Snapshot, duration, headline_text
from tidegate.stack.supervisor.status import StackStatus

STYLES: Final = {
    "ready": "green",
    "starting": "yellow",
    "draining": "cyan",
    "stopping": "cyan",
    "degraded": "red",
    "failed": "red",
    "warn": "yellow",
    "error": "red",
    "critical": "red",
}


def view(snapshot: Snapshot, now: float) -> RenderableType:
    """The whole stack: a header, the programs, the recent log. `now` is in seconds since 1970."""
    status = snapshot.status
    parts: list[RenderableType] = [
        _header(status, snapshot.headline),
        _programs(status, now),
        *_last_start(status),
        *_problems(status),
        *_alerts(status),
        _log(snapshot.log),
    ]
    if status.problem:
        parts.insert(0, Text(status.problem, style="bold red"))
    return Group(*[each for part in parts for each in (part, Text())][:-1])


def line(entry: Entry) -> Text:
    """An entry as one line."""
    return Text.assemble(*_parts(entry))


def _parts(entry: Entry) -> tuple[Text, Text]:
    """The time and the component of an entry, and its message."""
    at = time.strftime("%H:%M:%S  ", time.localtime(entry.at))
    origin = Text.assemble((at, "dim"), (f"{entry.component:<12}", "bold"))
    return origin, Text(entry.message.replace("\n", "  "), style=STYLES.get(entry.level, ""))


def _header(status: StackStatus, headline: Mapping[str, float]) -> Text:
    text = Text("tidegate  ", style="bold")
    text.append(f"{status.state}", style=STYLES.get(status.state, ""))
    text.append(f"   {status.gateway}   store: {status.store}")
    if status.program:
        text.append(f"   replicas: {status.program}")
    if status.simulated_device:
        text.append("   device: simulated", style="yellow")
    text.append(
        f"\n{headline_text(headline, status.objective_seconds)}   "
        f"{status.ready} of {status.desired} replicas ready (between {status.min} and {status.max})"
    )
    if status.slots != status.own_slots:
        text.append(f", {status.slots} slots each instead of {status.own_slots}")
    if status.faults:
        count = "1 unexpected error" if status.faults == 1 else f"{status.faults} unexpected errors"
        text.append(
            f"\n{count} since the start: `tidegate search 'event.action:fault'`", style="red"
        )
    for notice in filter(None, (status.machine, status.source)):
        text.append(f"\n{notice}", style="yellow")
    if status.pause:
        text.append(f"\nautoscaler {status.pause.words}; `tidegate resume` ends it", style="yellow")
    return text


def _programs(status: StackStatus, now: float) -> Table:
    # The table fits into 80 columns: problems are listed below it, and in a narrower terminal the version
    # is folded.
    every = [*status.components, *status.replicas]
    restarted = any(one.restarts for one in every)
    version = "version" if status.program else "model"
    columns = ("", "state", "pid", "up", *(["restarts"] if restarted else []), "address", version)
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name != version, overflow="fold")
    for one in every:
        table.add_row(
            one.id,
            Text(one.state, style=STYLES.get(one.state, "")),
            str(one.pid or ""),
            duration(now - one.started_at) if one.pid else "",
            *([str(one.restarts or "")] if restarted else []),
            one.address.removeprefix("http://").removesuffix("/metrics"),
            one.version,
        )
    return table


def _last_start(status: StackStatus) -> list[Text]:
    started = [one for one in status.replicas if one.start_seconds]
    if not started:
        return []
    last = max(started, key=lambda one: one.started_at)
    phases = ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in last.start_seconds.items())
    whole = sum(last.start_seconds.values())
    return [Text(f"{last.id} started in {whole:.2f} s: {phases}", style="dim")]


def _problems(status: StackStatus) -> list[Text]:
    problems = [
        Text(f"{one.id}: {one.problem}", style="red")
        for one in [*status.components, *status.replicas]
        if one.problem
    ]
    return [Text("\n").join(problems)] if problems else []


def _alerts(status: StackStatus) -> list[Text]:
    alerts = [
        Text(
            f"{one.name} fires{f' ({one.severity})' if one.severity else ''}: {one.summary}",
            style=STYLES.get(one.severity, "yellow"),
        )
        for one in status.alerts
    ]
    return [Text("\n").join(alerts)] if alerts else []


def _log(log: Sequence[Entry]) -> Table:
    table = Table.grid()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for entry in log:
        table.add_row(*_parts(entry))
    return table
