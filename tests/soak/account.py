"""The account of a load: what became of each planned request, each answer's event, each written line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from soak.schedule import Step, name
from tidegate.store.base import EventStore, SearchRequest

PAGE: Final = 10_000
# Events whose clock was wrong are found, too.
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
REFUSED: Final = 503
"""What the gateway answers to a request that it does not accept."""
REASONS: Final = frozenset({"overload", "queue_length", "queue_bytes"})
"""Why, in an access event."""
SUPERVISOR: Final = "supervisor"
REPLICAS: Final = 2
"""While so many are away, as while the gateway is, nobody can answer: requests may fail."""


@dataclass(frozen=True, slots=True)
class Window:
    """A step as it happened; times in seconds since 1970.

    Attributes:
        answered: when the first request after the end of the faults was answered.
    """

    step: Step
    began: float
    ended: float
    answered: float
    recovered: float

    @property
    def recovery(self) -> float:
        """Seconds from the end of the faults until requests are answered, and their events found, again."""
        return self.recovered - self.ended

    @property
    def nobody_answers(self) -> bool:
        """Whether requests may fail: there is no gateway, or no replica."""
        targets = {fault.target for fault in self.step}
        killed = {fault.target for fault in self.step if fault.kind == "kill"}
        return (
            "gateway" in targets
            or SUPERVISOR in killed
            or sum(map(_is_replica, targets)) >= REPLICAS
        )

    @property
    def refuses(self) -> bool:
        """Whether requests may be refused without an event that says why."""
        fewer = any(_is_replica(fault.target) for fault in self.step)
        return fewer or self.nobody_answers or any(one.target == "access-log" for one in self.step)

    @property
    def loses(self) -> bool:
        """Whether answers may leave no event: no disk had room for it."""
        return any(fault.kind == "disk" for fault in self.step)

    def meets(self, request: Request) -> bool:
        """Whether a request was there between the begin of the faults and the first answer after them."""
        end = request.finished or request.planned
        return request.planned <= self.answered and end >= self.began


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
    unexplained: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    unwritten: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        failed = ", ".join(f"{count} {error}" for error, count in self.failed.most_common())
        return (
            f"planned {self.planned:,}, sent {self.sent:,}, answered {self.answered:,}, refused"
            f" {self.refused:,}, failed {self.failed.total():,}{f' ({failed})' if failed else ''};"
            f" events {self.stored:,}, never written (full disk) {self.unwritten}, lost {self.lost},"
            f" doubled {self.doubled}"
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


def ids_in(folder: Path) -> Iterator[str]:
    """The ids of all lines of the event files, but for those that a full disk has torn."""
    for path in folder.glob("*.ndjson"):
        for line in path.read_bytes().rpartition(b"\n")[0].splitlines():
            with suppress(orjson.JSONDecodeError):
                yield str(orjson.loads(line)["event"]["id"])


def settle(
    requests: Sequence[Request],
    events: Sequence[dict[str, Any]],
    written: Iterable[str],
    windows: Sequence[Window],
) -> Account:
    """Hold the requests against the events.

    Args:
        requests: of the load generator.
        events: all that the store has.
        written: the ids of all lines in the event files.
        windows: the faults as they happened.
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
        _settle_one(account, request, traces, [one for one in windows if one.meets(request)])
    reasons = sum(1 for event in events if event["event"].get("reason") in REASONS)
    if account.unexplained > reasons:
        account.wrong.append(
            f"{account.unexplained} refused while all replicas were there, {reasons} with a reason"
        )
    if account.answered + account.refused + account.failed.total() != account.planned:
        account.wrong.append("some requests have neither an answer nor a reason")
    return account


def _settle_one(
    account: Account, request: Request, traces: Counter[str], windows: Sequence[Window]
) -> None:
    """Hold one request against its events; the windows are those that it met."""
    account.sent += request.sent is not None
    if request.status == REFUSED:
        account.refused += 1
        account.unexplained += not any(one.refuses for one in windows)
        return
    if request.error or not request.status:
        if request.error:
            account.failed[request.error] += 1
        if not any(one.nobody_answers for one in windows):
            during = [name(one.step) for one in windows]
            account.wrong.append(
                f"failed ({request.error or 'no reason'}) though the gateway was there; during: {during}"
            )
        return
    account.answered += 1
    count = traces[request.trace_id]
    if count > 1:
        account.doubled += count - 1
        account.wrong.append(f"answered once with {count} events: {request.trace_id}")
    elif not count and any(one.loses for one in windows):
        account.unwritten += 1
    elif not count:
        account.lost += 1
        account.wrong.append(f"answered without an event: {request.trace_id}")


def _is_replica(target: str) -> bool:
    return target.rpartition("-")[2].isdigit()
