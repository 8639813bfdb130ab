"""The account of a load: what became of each planned request, each answer's event, each written line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from soak.schedule import Step, name
from tidegate.store.base import EventStore, SearchRequest

PAGE: Final = 10_000
# Events whose clock was wrong are found, too.
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
REFUSED: Final = 503
"""What the gateway answers, with its reason, to a request that it does not accept."""
NOT_ANSWERING: Final = frozenset({"gateway", "supervisor"})
"""While one of these is away, nobody can answer: requests may fail."""


@dataclass(frozen=True, slots=True)
class Window:
    """A step as it happened; times in seconds since 1970."""

    step: Step
    began: float
    ended: float
    recovered: float

    @property
    def recovery(self) -> float:
        """Seconds from the end of the faults until requests are answered, and their events found, again."""
        return self.recovered - self.ended

    def excuses(self, start: float, end: float) -> bool:
        """Whether a request of this time may fail: the gateway was away."""
        away = any(fault.target in NOT_ANSWERING for fault in self.step)
        return away and start <= self.recovered and end >= self.began


@dataclass(frozen=True, slots=True)
class Request:
    """A planned request; times in seconds since 1970, None if it was not sent or did not end."""

    planned: float
    sent: float | None
    finished: float | None
    status: int
    error: str
    trace_id: str


@dataclass
class Account:
    """The figures, and in `wrong` what should not be."""

    planned: int = 0
    sent: int = 0
    answered: int = 0
    refused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        failed = ", ".join(f"{count} {error}" for error, count in self.failed.most_common())
        return (
            f"planned {self.planned:,}, sent {self.sent:,}, answered {self.answered:,}, refused"
            f" {self.refused:,}, failed {self.failed.total():,}{f' ({failed})' if failed else ''};"
            f" events {self.stored:,}, lost {self.lost}, doubled {self.doubled}"
        )


def requests_of(run: Path) -> list[Request]:
    """The requests of a run of the load generator, up to the last that was sent before it was stopped."""
    summary = json.loads((run / "summary.json").read_text())
    start = datetime.fromisoformat(summary["started_at"]).timestamp()

    def moment(text: str) -> float | None:
        return start + float(text) if text else None

    with (run / "requests.csv").open(newline="") as file:
        rows = [
            Request(
                start + float(row["planned_s"]),
                moment(row["sent_s"]),
                moment(row["finished_s"]),
                int(row["status"] or 0),
                row["error"],
                row["trace_id"],
            )
            for row in csv.DictReader(file)
        ]
    last = max((one.planned for one in rows if one.sent or one.error), default=0.0)
    return [one for one in rows if one.planned <= last]


def every_event(
    store: EventStore, since: datetime = FIRST, until: datetime = LAST
) -> list[dict[str, Any]]:
    """All events of a store, however many; of a range that holds too many, those of its halves."""
    count = store.search(SearchRequest(since=since, until=until, size=0)).total
    if count > PAGE:
        middle = since + (until - since) / 2
        return [*every_event(store, since, middle), *every_event(store, middle, until)]
    if not count:
        return []
    found = store.search(SearchRequest(since=since, until=until, order="asc", size=PAGE))
    return list(found.hits)


def settle(
    requests: Sequence[Request],
    events: Sequence[dict[str, Any]],
    written: Iterable[str],
    windows: Sequence[Window],
    *,
    losable: Collection[str] = (),
) -> Account:
    """Hold the requests against the events.

    Args:
        requests: of the load generator.
        events: all that the store has.
        written: the ids of all lines in the event files.
        windows: the faults as they happened.
        losable: trace ids of answers whose event may be missing: no disk had room for it.
    """
    account = Account(planned=len(requests))
    ids = Counter(event["event"]["id"] for event in events)
    account.stored = len(events)
    account.doubled = sum(count - 1 for count in ids.values())
    if account.doubled:
        account.wrong.append(f"stored twice: {[one for one, n in ids.items() if n > 1][:5]}")
    if missing := set(written) - ids.keys():
        account.lost += len(missing)
        account.wrong.append(f"written and not stored: {sorted(missing)[:5]}")
    traces = Counter(
        event["trace"]["id"]
        for event in events
        if event["event"]["dataset"] == "tidegate.request" and "trace" in event
    )
    for request in requests:
        _settle_one(account, request, traces, windows, losable)
    if account.answered + account.refused + account.failed.total() != account.planned:
        account.wrong.append("some requests have neither an answer nor a reason")
    return account


def _settle_one(
    account: Account,
    request: Request,
    traces: Counter[str],
    windows: Sequence[Window],
    losable: Collection[str],
) -> None:
    account.sent += request.sent is not None
    if request.status == REFUSED:
        account.refused += 1
        return
    if request.error or not request.status:
        if request.error:
            account.failed[request.error] += 1
        start = request.planned
        if not any(one.excuses(start, request.finished or start) for one in windows):
            during = [name(one.step) for one in windows if one.began <= start <= one.recovered]
            account.wrong.append(
                f"failed ({request.error or 'no reason'}) though the gateway was there; during: {during}"
            )
        return
    account.answered += 1
    count = traces[request.trace_id]
    if count == 0 and request.trace_id not in losable:
        account.lost += 1
        account.wrong.append(f"answered without an event: {request.trace_id}")
    elif count > 1:
        account.doubled += count - 1
        account.wrong.append(f"answered once with {count} events: {request.trace_id}")
