"""How long the pages of the console take over many events, and what an event costs beside how many.

Stores events of a week once, as a collector does, in a folder that is kept: requests, a tenth of them with a
span. Then it repeats each search that a page makes, in a reader that stays open as in the console, and the
Overview, beside a Prometheus with six hours of what it shows. The exit code is 1 if a first page takes 300 ms
or longer, a histogram or the Overview 1 s.

    python -m bench.console --folder /tmp/events                       10 million events: half an hour of CPU
    python -m bench.console --folder /tmp/events --events 1000000
    python -m bench.console --memory           of its process, which follows Scaling over 1,800 decisions
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from bench.collector import make_request_event
from bench.engines.engine import free_ports
from bench.results import result, save, table
from tidegate.autoscaler.decision_event import record_decision
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.types import Signals
from tidegate.collector.run import GARBAGE_OBJECTS
from tidegate.console.app import create_app
from tidegate.console.pages.overview import CHARTS
from tidegate.console.pages.search import SIZE as PAGE
from tidegate.console.search_request import FACETS
from tidegate.console.series import keys_of
from tidegate.console.sources import open_sources
from tidegate.events.event import Event, Origin, make_event
from tidegate.runtime.event_log import APP, EventLog, StreamWriter
from tidegate.settings import load
from tidegate.stack import objective
from tidegate.stack.prometheus import prometheus_binary, promtool_binary
from tidegate.store.base import DateHistogram, EventStore, SearchRequest
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore
from tidegate.store.search.browse import browse, fitting_interval
from tidegate.store.search.pages import page

Times = list[tuple[float, float]]
"""Wall and CPU times in seconds."""
REPEATS: Final = 20
PAGE_SECONDS: Final = 0.3
HISTOGRAM_SECONDS: Final = 1.0
OVERVIEW_SECONDS: Final = 1.0
QUERIES: Final = {
    "everything": "",
    "errors": "log.level:error",
    "two conditions": "tidegate.work:heavy AND http.response.status_code:200",
    "words of a message": "predict 500",
}
WEEK_MS: Final = 7 * 24 * 3600 * 1000
BATCH: Final = 4000
PAGES: Final = ("/?range=1h", "/scaling?range=1h", "/search", "/traces", "/model", "/load")
FOLLOWED: Final = "/scaling/live?range=1h"
FOLLOWED_SECONDS: Final = 60
MEMORY_BYTES: Final = 100e6
DECISIONS, TICK_SECONDS = 1800, 2
SIZES: Final = (10_000, 100_000, 1_000_000, 5_000_000)
FIRST: Final = 5
SEARCH_MS, SEARCHED = 100.0, 1_000_000
ORIGIN: Final = Origin("flights", "0.1.0", "bench", "flights-1", "bench")
FIRST_PORT: Final = 26_000


def events(count: int, start_ns: int) -> Iterator[Event]:
    """Yield events that are evenly spread over a week: ten requests, then the span of the last one."""
    chance = random.Random(1)
    for number in range(count):
        milliseconds = number * WEEK_MS // count
        if number % 11 < 10:
            event = make_request_event(ORIGIN, milliseconds, chance, start_ns)
            yield event
        else:
            yield _span(event, start_ns + milliseconds * 1_000_000)


def _span(request: Event, unix_ns: int) -> Event:
    about = {name: request["event"][name] for name in ("outcome", "duration", "start")}
    return make_event(
        ORIGIN,
        "span",
        "POST /predict",
        unix_ns=unix_ns,
        stream="traces",
        fields={
            "event": about,
            "trace": request["trace"],
            "span": {**request["span"], "name": "POST /predict", "kind": "server"},
        },
    )


def build(root: Path, count: int) -> None:
    """Write a store as a collector does, unless the folder has one with this number of events.

    Saves the CPU time of an event, with its share of commits and merges, and the time of a first page, while
    the store grows.
    """
    start_ns = time.time_ns() - WEEK_MS * 1_000_000
    made = events(count, start_ns)
    with closing(EmbeddedStore(root)) as store:
        if (before := store.count()) == count:
            return
        if before:
            raise SystemExit(f"{root} has {before:,} events: delete it, or use another folder")
        sizes = (*(size for size in SIZES if size < count), count)
        cost, search = dict[int, list[float]](), dict[int, list[float]]()
        cost[sizes[0]] = [first_events(sizes[0], events(count, start_ns)) for _ in range(FIRST)]
        for size in sizes:
            spent = store_events(store, size - before, made)
            cost.setdefault(size, [spent])
            print(f"{spent:.1f} µs/event from {before:,} to {size:,} events", flush=True)
            before = size
            with closing(EmbeddedReader(root)) as reader:
                times = measure(partial(browse, reader, last_week()))
                search[size] = [wall * 1000 for wall, _ in times]
    growth = [statistics.median(cost[sizes[-1]])], [statistics.median(cost[sizes[0]])]
    found = [result(f"stored events: {n:,}", us, unit="µs/event") for n, us in cost.items()]
    found += [
        result(
            f"a search over stored events: {n:,}",
            ms,
            unit="ms",
            target=SEARCH_MS if n <= SEARCHED else None,
        )
        for n, ms in search.items()
    ]
    title = f"an event at {sizes[-1]:,} stored: against {sizes[0]:,}"
    save("stored_events", [*found, result(title, *growth, unit="µs/event", target=1.2)])


def store_events(store: EmbeddedStore, count: int, made: Iterator[Event]) -> float:
    """Store the next events in batches; the CPU time of an event in µs, without that of making it."""
    processor, making = time.process_time(), 0.0
    for start in range(0, count, BATCH):
        began = time.thread_time()
        batch = list(islice(made, min(BATCH, count - start)))
        making += time.thread_time() - began
        store.append(batch)
    return (time.process_time() - processor - making) / count * 1e6


def first_events(count: int, made: Iterator[Event]) -> float:
    """The same in a new store."""
    with tempfile.TemporaryDirectory() as folder, closing(EmbeddedStore(Path(folder))) as store:
        return store_events(store, count, made)


def last_week() -> SearchRequest:
    """The search of a page over the last week."""
    now = datetime.now(UTC)
    return SearchRequest(since=now - timedelta(days=7), until=now, size=PAGE)


def searches(store: EventStore) -> dict[str, tuple[Callable[[], object], float]]:
    """Return what pages ask for, by name, and the seconds that it may take."""
    week = last_week()
    assert week.since is not None
    assert week.until is not None
    found: dict[str, tuple[Callable[[], object], float]] = {}
    for name, query in QUERIES.items():
        request = replace(week, query=query)
        histogram = DateHistogram(fitting_interval(week.since, week.until))
        counts = replace(request, size=0, aggregations={"time": histogram})
        # With the number of all, of those with an error, and the histogram.
        found[f"first page: {name}"] = (partial(browse, store, request), PAGE_SECONDS)
        found[f"histogram: {name}"] = (partial(store.search, counts), HISTOGRAM_SECONDS)
    slowest = replace(week, sort="event.duration", stream="traces")
    second = partial(browse, store, week, after=page(store, week).next)
    found["second page: everything"] = (second, PAGE_SECONDS)
    found["slowest traces"] = (partial(store.search, slowest), math.inf)
    found["first page and facets: everything"] = (partial(browse, store, week, FACETS), math.inf)
    return found


@contextmanager
def recorded_hours(hours: int) -> Iterator[str]:
    """The URL of a Prometheus that has recorded what the Overview shows, every 2 s for hours."""
    end = int(time.time())
    lines = []
    for key in sorted({*keys_of(CHARTS), *objective.NAMES}):
        name, _, state = key.partition(" ")
        label = f'{{state="{state}"}}' if state else ""
        lines += [f"# TYPE {name} gauge"] if f"# TYPE {name} gauge" not in lines else []
        lines += [f"{name}{label} {at % 97 / 100} {at}" for at in range(end - hours * 3600, end, 2)]
    with tempfile.TemporaryDirectory() as folder:
        text, data, config = (Path(folder) / name for name in ("series", "data", "prometheus.yml"))
        text.write_text("\n".join([*lines, "# EOF\n"]), encoding="utf-8")
        config.write_text("{}", encoding="utf-8")
        blocks = ("tsdb", "create-blocks-from", "openmetrics", str(text), str(data))
        subprocess.run([promtool_binary(), *blocks], check=True, stdout=subprocess.DEVNULL)
        address = f"127.0.0.1:{free_ports(FIRST_PORT, 1)}"
        options = (
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address={address}",
        )
        with subprocess.Popen([prometheus_binary(), *options, "--log.level=error"]) as running:
            try:
                wait_for(f"http://{address}/-/ready")
                yield f"http://{address}"
            finally:
                running.terminate()


async def overview(root: Path) -> Times:
    """Return how long the Overview of 6 hours takes each time that nothing is held."""
    times = []
    with recorded_hours(6) as prometheus, tempfile.TemporaryDirectory() as folder:
        settings = load(stack={"data_dir": folder})
        async with open_sources(settings, prometheus) as opened:
            sources = replace(opened, store=EmbeddedReader(root))
            with closing(EventLog.to_files(settings, "bench", APP)) as event_log:
                for _ in range(REPEATS + 1):
                    app, _ = create_app(sources, event_log)
                    transport = httpx.ASGITransport(app)
                    async with httpx.AsyncClient(
                        transport=transport, base_url="http://127.0.0.1"
                    ) as client:
                        wall, processor = time.perf_counter(), time.process_time()
                        page = await client.get("/", params={"range": "6h"})
                        took = time.perf_counter() - wall, time.process_time() - processor
                        times.append(took)
                    if "banner says why" in page.text or "Slowest requests" not in page.text:
                        raise SystemExit(f"the Overview is not whole: {page.text}")
    return times[1:]


def decisions() -> list[Event]:
    """SLOQ's decisions of the last hour, about a load that has another level every 200 s."""
    written, at_ns = io.BytesIO(), time.time_ns() - DECISIONS * TICK_SECONDS * 10**9
    event_log = EventLog(StreamWriter(written), ORIGIN, clock_ns=lambda: at_ns)
    parameters = SloqParameters(min=1, max=20, slo_seconds=0.6, tick_seconds=TICK_SECONDS)
    decide, state, replicas = sloq(parameters), dict[str, Any](), 4
    chance = random.Random(1)
    for number in range(DECISIONS):
        rate, now = 50 + 40 * (number // 100 % 5) + chance.random(), float(number * TICK_SECONDS)
        seen = Signals(
            arrival_rate=rate,
            arrival_rate_60s=rate,
            completed_rate=rate,
            service_seconds=0.2,
            service_seconds_p95=0.46,
            in_system=rate * 0.2 + chance.random(),
            slots_per_replica=4,
            latency_seconds=0.5 + 0.01 * chance.random(),
            age_seconds=1.0,
            ready=replicas,
            running=replicas,
            desired=replicas,
        )
        decision = decide(state, seen, now)
        record_decision(event_log, decision, policy="sloq", state=state, signals=seen, now=now)
        state, replicas = decision.state, decision.desired
        at_ns += TICK_SECONDS * 10**9
    return [orjson.loads(line) for line in written.getvalue().splitlines()]


def memory() -> float:
    """The most bytes of memory (VmHWM) of a console that shows each page and follows one."""
    with recorded_hours(1) as prometheus, tempfile.TemporaryDirectory() as folder:
        with closing(EmbeddedStore(Path(folder) / "store")) as store:
            store.append(decisions())
        port = free_ports(FIRST_PORT, 1)
        own = {"STACK__DATA_DIR": folder, "CONSOLE__PORT": str(port)}
        environment = {**os.environ, **{f"TIDEGATE_{name}": text for name, text in own.items()}}
        argv = [sys.executable, "-m", "tidegate", "console", "--prometheus", prometheus]
        with subprocess.Popen(argv, env=environment) as console:
            try:
                address = f"http://127.0.0.1:{port}"
                wait_for(f"{address}/live")
                for path in PAGES:
                    urllib.request.urlopen(f"{address}{path}").read()  # noqa: S310
                with urllib.request.urlopen(f"{address}{FOLLOWED}") as updates:  # noqa: S310
                    until = time.monotonic() + FOLLOWED_SECONDS
                    while time.monotonic() < until:
                        updates.readline()
                status = Path(f"/proc/{console.pid}/status").read_text(encoding="utf-8")
            finally:
                console.terminate()
    [kilobytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) * 1024.0


def wait_for(url: str) -> None:
    """Wait until it answers."""
    for _ in range(300):
        with suppress(OSError), urllib.request.urlopen(url, timeout=1):  # noqa: S310
            return
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def measure(call: Callable[[], object]) -> Times:
    """Repeat it."""
    call()
    return [timed(call) for _ in range(REPEATS)]


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """The wall and the CPU time of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> int:
    """Build the store and measure the searches."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--memory", action="store_true")
    arguments = parser.parse_args()
    if arguments.memory:
        used = memory()
        print(f"the console has {used / 1e6:.1f} MB at most, over an hour of {DECISIONS} decisions")
        return int(used > MEMORY_BYTES)
    if not arguments.folder:
        parser.error("--folder is missing")
    gc.set_threshold(GARBAGE_OBJECTS)
    build(arguments.folder, arguments.events)
    with closing(EmbeddedReader(arguments.folder)) as store:
        took = {name: (measure(call), limit) for name, (call, limit) in searches(store).items()}
    took["Overview of 6 hours"] = (asyncio.run(overview(arguments.folder)), OVERVIEW_SECONDS)
    size = f"{arguments.events / 1e6:g} million events"
    results = [
        result(
            f"{name}, {size}",
            [one[kind] * 1000 for one in times],
            unit=("ms", "ms CPU")[kind],
            target=None if kind or limit == math.inf else limit * 1000,
        )
        for name, (times, limit) in took.items()
        for kind in (0, 1)
    ]
    print(table(results))
    save("console", results)
    return int(any(one.met is False for one in results))


if __name__ == "__main__":
    sys.exit(main())
