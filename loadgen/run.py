"""A run: planning, sending and reporting."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from multidict import CIMultiDict
from rich.console import Console
from rich.markup import escape
from yarl import URL

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.bodies import bodies_of_rows, read_bodies, read_rows
from tidegate.loadgen.plan.checks import parse_check
from tidegate.loadgen.plan.plan import digest, make_plan
from tidegate.loadgen.plan.request_kinds import Until
from tidegate.loadgen.plan.scenario import Schedule, constant_schedule, load_schedule
from tidegate.loadgen.report import replica_signals
from tidegate.loadgen.report.figures import summarize
from tidegate.loadgen.report.live_view import live_view
from tidegate.loadgen.report.page import write_report
from tidegate.loadgen.report.replica_signals import Prometheus, PrometheusError, Signals
from tidegate.loadgen.report.runs import LATEST, SUMMARY, new_folder
from tidegate.loadgen.report.summary import Setup, Summary
from tidegate.loadgen.report.thresholds import parse_threshold
from tidegate.loadgen.report.verdict import exit_code, print_summary
from tidegate.loadgen.send import record
from tidegate.loadgen.send.record import Recording
from tidegate.loadgen.send.sender import JSON, Limits, OpenLoop, Target
from tidegate.loadgen.send.target import (
    DEFAULT_PATH,
    header,
    http_url,
    preflight,
    request_method,
    target_url,
)

# The interval after which the thread of the live view yields to the sender. The default of 5 ms is half the
# maximum lag.
SWITCH_SECONDS: Final = 0.0005
OPEN_FILES: Final = 65_536
DURATION_SECONDS: Final = 30.0
# Requests of these methods have a body only if --body names one.
WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
# A load generator that competes with the service for the CPU measures its own delay: on two cores with a load
# average of 6, the p99 of the lag was 33 ms without this and 8.5 ms with it.
NICENESS: Final = -10


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a run; the command line has their defaults."""

    scenario: str
    """Empty with a `rate`."""
    rate: float | None
    duration_seconds: float | None
    url: str
    path: str | None
    """None: that of the URL, or `/predict`, or those of the scenario's routes."""
    method: str | None
    headers: Sequence[str]
    checks: Sequence[str]
    prometheus: str
    rows: Path
    body: Path | None
    """File of bodies that are sent as they are, instead of `rows`."""
    content_type: str | None
    out: Path
    seed: int
    slo_seconds: float | None
    until: Until
    thresholds: Sequence[str]
    max_lag_seconds: float
    progress_seconds: float
    """Between two lines, without a terminal."""
    allow_remote: bool
    limits: Limits


def run(options: Options, console: Console) -> int:
    """Send the load, write and print the results, and return the exit code.

    Raises:
        UsageError: an argument is invalid or the target does not respond; nothing was sent.
    """
    url = target_url(options.url, options.path, allow_remote=options.allow_remote)
    prometheus = None
    if options.prometheus:
        prometheus = Prometheus(str(http_url(options.prometheus, "--prometheus")))
    schedule = _schedule(options)
    kinds = tuple(schedule.weights)
    thresholds = [parse_threshold(text, kinds) for text in options.thresholds]
    plan = make_plan(schedule, options.seed)
    targets, file = _targets(options, schedule, url)
    asyncio.run(preflight(options.url))
    folder = new_folder(options.out, datetime.now(UTC))

    recording = Recording.of(plan, kinds)
    recording.until = options.until
    sender = OpenLoop(plan, targets, recording, options.limits)
    showing = live_view(
        console,
        recording,
        lambda: sender.start,
        title=f" {schedule.name} → {options.url} ",
        seconds=schedule.seconds,
        slo=options.slo_seconds,
        prometheus=prometheus,
        line_seconds=options.progress_seconds,
    )
    with _low_latency(), showing:
        asyncio.run(_until_signalled(sender))
    ended = datetime.now(UTC)
    started = datetime.fromtimestamp(time.time() - (time.monotonic() - sender.start), UTC)

    series = _signals(prometheus, started, ended, console)
    setup = Setup(
        scenario=schedule.name,
        description=schedule.description,
        arrivals=schedule.arrivals,
        duration_seconds=schedule.seconds,
        seed=options.seed,
        plan_sha256=digest(plan),
        url=str(url),
        method=", ".join(dict.fromkeys(target.method for target in targets.values())),
        rows_file=str(file or ""),
        timeout_seconds=options.limits.timeout_seconds,
        max_lag_seconds=options.max_lag_seconds,
        slo_seconds=options.slo_seconds,
        until=options.until,
        prometheus=options.prometheus or None,
        version=version("tidegate"),
    )
    summary = summarize(
        recording,
        series,
        setup,
        started_at=started,
        ended_at=ended,
        interrupted=sender.interrupted,
    )
    summary = summary.model_copy(
        update={
            "thresholds": [threshold.evaluate(summary) for threshold in thresholds],
            # A kind says how many rows a request has; bodies of --body, and requests without one, have none.
            **({} if file is options.rows or schedule.routes else {"by_kind": {}}),
        }
    )
    write_run(folder, summary, recording, series)
    print_summary(console, summary, folder)
    return exit_code(summary)


def write_run(folder: Path, summary: Summary, recording: Recording, series: Signals) -> None:
    """Write the files of a run, and let the link `latest` point to its folder."""
    text = summary.model_dump_json(indent=2) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    for name, lines in (
        ("requests.csv", record.to_csv(recording)),
        ("signals.csv", replica_signals.to_csv(series)),
    ):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    write_report(folder, summary, recording, series)
    # Atomic: a concurrent reader finds the old link or the new one.
    temporary = folder.with_name(f".{LATEST}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name)
    temporary.replace(folder.with_name(LATEST))


def _schedule(options: Options) -> Schedule:
    if options.rate is None:
        if options.duration_seconds is not None:
            raise UsageError("--duration belongs to --rate; a scenario has its own")
        if not options.scenario:
            raise UsageError(
                "name a scenario (see `tidegate loadgen list`), or give --rate, such as --rate 50"
            )
        return load_schedule(options.scenario)
    if options.scenario:
        raise UsageError(f"--rate takes the place of a scenario; remove {options.scenario!r}")
    return constant_schedule(options.rate, options.duration_seconds or DURATION_SECONDS)


def _targets(
    options: Options, schedule: Schedule, url: URL
) -> tuple[Mapping[str, Target], Path | None]:
    """The target of each kind of request, and the file with the bodies of all; None if there is none."""
    checks = tuple(map(parse_check, options.checks))
    if schedule.routes:
        given = {"--path": options.path, "--method": options.method, "--body": options.body}
        if named := [name for name, value in given.items() if value]:
            raise UsageError(f"{schedule.name} has routes of its own; remove {' and '.join(named)}")
        return {
            route.name: Target(
                target_url(options.url, route.path, allow_remote=options.allow_remote),
                [
                    one.encode()
                    for one in ([route.body] if isinstance(route.body, str) else route.body)
                ],
                request_method(route.method),
                _headers(options, route.headers, has_body=bool(route.body)),
                (*checks, *map(parse_check, route.checks)),
            )
            for route in schedule.routes
            if route.weight
        }, None
    kinds, file = schedule.weights, options.body
    reads = options.path is None and url.path != DEFAULT_PATH and file is None
    method = request_method(options.method or ("GET" if reads else "POST"))
    if file is None and method not in WITHOUT_BODY:
        file, pools = options.rows, bodies_of_rows(read_rows(options.rows), kinds)
    else:
        pools = dict.fromkeys(kinds, read_bodies(file) if file else [])
    headers = _headers(options, {}, has_body=file is not None)
    return {kind: Target(url, pools[kind], method, headers, checks) for kind in kinds}, file


def _headers(options: Options, own: Mapping[str, str], *, has_body: bool) -> CIMultiDict[str]:
    """Those of the options and of a route, and the type of the body: JSON, unless they say otherwise."""
    made = CIMultiDict(map(header, options.headers))
    made.update(header(f"{name}: {value}") for name, value in own.items())
    if has_body:
        made.setdefault("Content-Type", options.content_type or JSON)
    return made


async def _until_signalled(sender: OpenLoop) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, sender.stop)
    await sender.run()


@contextmanager
def _low_latency() -> Iterator[None]:
    """Reduce delays by other threads, processes and garbage collection, and raise the limit of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):  # not permitted for an ordinary user; the lag shows the effect
        os.setpriority(os.PRIO_PROCESS, 0, min(before, NICENESS))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    # Plan and bodies exist until the end. Frozen, the garbage collector does not traverse them, which would
    # take tens of milliseconds.
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(interval)
        os.setpriority(os.PRIO_PROCESS, 0, before)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _signals(
    prometheus: Prometheus | None, started: datetime, ended: datetime, console: Console
) -> Signals:
    if prometheus is None:
        return Signals()
    try:
        return prometheus.signals(started.timestamp(), ended.timestamp())
    except PrometheusError as error:
        console.print(
            f"[yellow]the report does not contain replicas and queue: {escape(str(error))}[/]",
            soft_wrap=True,
        )
        return Signals()
