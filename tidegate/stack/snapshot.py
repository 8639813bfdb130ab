"""What `tidegate status` and the console show of a stack: one snapshot for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tidegate.runtime.event_log import Entry
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import Prometheus
from tidegate.stack.supervisor.recent_output import last_decisions
from tidegate.stack.supervisor.status import StackStatus

ARRIVALS: Final = "service:arrival_rate:15s"
LATENCY: Final = "service:latency_seconds_p95:15s"
QUEUE: Final = "service:queue:now"
HEADLINE: Final = (ARRIVALS, LATENCY, QUEUE)
TIMEOUT_SECONDS: Final = 1.0
LOG_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stack at one moment.

    Attributes:
        status: what the supervisor says.
        headline: the current values of the recorded series by name; empty if Prometheus does not answer.
        log: the last entries of the stack's log and of the autoscaler's decisions, oldest first.
    """

    status: StackStatus
    headline: Mapping[str, float]
    log: Sequence[Entry]


async def take_snapshot(
    status: StackStatus, session: aiohttp.ClientSession, logs: Path | None = None
) -> Snapshot:
    """The snapshot of a stack with this status; without the folder of its event files it has no decisions."""
    headline = await fetch_headline(session, status.prometheus)
    decisions = last_decisions(logs, LOG_LINES) if logs else ()
    return Snapshot(status, headline, recent_log(status, decisions))


def recent_log(status: StackStatus, decisions: Sequence[Entry]) -> list[Entry]:
    """The last entries of the stack's log and of the autoscaler's decisions, oldest first."""
    return sorted([*status.recent, *decisions], key=lambda entry: entry.at)[-LOG_LINES:]


async def fetch_headline(session: aiohttp.ClientSession, prometheus: str) -> dict[str, float]:
    """The same; empty if Prometheus does not answer."""
    try:
        return await current_values(Prometheus(session, prometheus, TIMEOUT_SECONDS), HEADLINE)
    except HttpError:
        return {}


async def current_values(prometheus: Prometheus, names: Sequence[str]) -> dict[str, float]:
    """The current values of recorded series by name, without NaN (no arrivals).

    Raises:
        HttpError: Prometheus does not answer.
    """
    # Some rules run each 15 s, and Prometheus forgets a sample earlier (`--query.lookback-delta`).
    return await prometheus.values(f'last_over_time({{__name__=~"{"|".join(names)}"}}[20s])')


def headline_text(headline: Mapping[str, float], objective_seconds: float) -> str:
    """The values as one line of text."""
    if not headline:
        return "no measurements yet"
    parts = [f"{headline.get(ARRIVALS, 0.0):.1f} requests/s"]
    if (latency := headline.get(LATENCY)) is not None:
        parts.append(f"p95 {latency * 1e3:.0f} ms (objective {objective_seconds * 1e3:.0f} ms)")
    parts.append(f"{headline.get(QUEUE, 0.0):.0f} queued")
    return "   ".join(parts)


def duration(seconds: float) -> str:
    """A time span in its two largest units: `5 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`."""
    whole = max(0, int(seconds))
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        number, whole = divmod(whole, size)
        if number or parts:
            parts.append(f"{number} {name}")
    return " ".join(parts[:2]) or "0 s"
