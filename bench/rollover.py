"""Fraction of events that are stored twice because of a rollover between two deliveries.

Delivers batches to a real Elasticsearch, and each again after a delay, as a collector does after a lost
acknowledgement, while the stream is rolled over at a fixed period. A batch is stored twice if a rollover
happens between its deliveries, which is expected for the fraction delay / period. Elasticsearch's lifecycle
rolls a stream with a retention of 7 days over once a day; the last column scales the measured fraction to
that.

    pid=$(scripts/elasticsearch start --port 9299 --data /tmp/rollover)
    python bench/rollover.py --elasticsearch http://127.0.0.1:9299
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import platform
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from elasticsearch import Elasticsearch, helpers

from tidegate.events.event import Origin, make_event
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.store.elasticsearch.store import ElasticsearchStore

DELAYS = (0.1, 0.3, 1.0, 3.0)
BATCH = 10
PAUSE = 0.037
DAY = 86_400.0


@dataclass
class Schedule:
    """Actions with their times; an action may schedule others."""

    due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    order: Iterator[int] = field(default_factory=itertools.count)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule an action this number of seconds from now."""
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.order), action))

    def run(self) -> None:
        """Run until no action is scheduled."""
        while self.due:
            at, _, action = heapq.heappop(self.due)
            time.sleep(max(0.0, at - time.monotonic()))
            action()


def deliver(
    store: ElasticsearchStore, client: Elasticsearch, *, period: float, seconds: float
) -> dict[float, tuple[int, int]]:
    """Return for each delay the number of batches, and the number of batches stored twice."""
    origin = Origin("bench", "1", "bench", "bench-1", uuid.uuid4().hex)
    stream = f"logs-tidegate.app-{origin.namespace}"
    end = time.monotonic() + seconds
    schedule, delays = Schedule(), itertools.cycle(DELAYS)
    delay_of: dict[str, float] = {}

    def deliver_batch() -> None:
        batch = [make_event(origin, "app", "x", unix_ns=time.time_ns()) for _ in range(BATCH)]
        delay = next(delays)
        delay_of[batch[0]["event"]["id"]] = delay
        store.append(batch)

        def again() -> None:
            store.append(batch)

        schedule.after(delay, again)
        if time.monotonic() < end:
            schedule.after(PAUSE, deliver_batch)

    def roll() -> None:
        client.indices.rollover(alias=stream)
        if schedule.due:
            schedule.after(period, roll)

    deliver_batch()
    schedule.after(period, roll)
    schedule.run()
    client.indices.refresh(index=stream)
    copies = Counter(hit["_id"] for hit in helpers.scan(client, index=stream, _source=False))
    doubled = Counter(delay for first, delay in delay_of.items() if copies[first] > 1)
    made = Counter(delay_of.values())
    return {delay: (made[delay], doubled[delay]) for delay in DELAYS}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--elasticsearch", required=True, metavar="URL")
    parser.add_argument("--period", type=float, default=10.0, help="seconds between two rollovers")
    parser.add_argument("--seconds", type=float, default=300.0, help="duration of the deliveries")
    args = parser.parse_args()
    with (
        closing(ElasticsearchStore(ElasticsearchSettings(url=args.elasticsearch))) as store,
        Elasticsearch(args.elasticsearch, request_timeout=60) as client,
    ):
        measured = deliver(store, client, period=args.period, seconds=args.seconds)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, rollover every {args.period:g} s"
    )
    print(
        f"{'delay s':>8} {'sent twice':>11} {'doubled':>8} {'ratio':>7} {'expected':>9} {'a day':>9}"
    )
    for delay, (batches, doubled) in measured.items():
        ratio = doubled / batches if batches else 0.0
        expected = min(1.0, delay / args.period)
        print(
            f"{delay:>8g} {batches:>11} {doubled:>8} {ratio:>7.2%} {expected:>9.2%} "
            f"{ratio * args.period / DAY:>9.1e}"
        )


if __name__ == "__main__":
    main()
