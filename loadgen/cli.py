"""The command line of the load generator."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.openapi import scenario_of
from tidegate.loadgen.plan.plan import digest, make_plan, plan_csv
from tidegate.loadgen.plan.request_kinds import Until
from tidegate.loadgen.plan.scenario import built_in, load_schedule
from tidegate.loadgen.plan.units import rate, seconds
from tidegate.loadgen.report.live_view import sparkline
from tidegate.loadgen.terminal import Console, printable

app = typer.Typer(
    name="loadgen",
    help="An open-loop load generator: it sends each request at its planned time, regardless of the others.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
USAGE_ERROR = 2

Scenario = Annotated[
    str, typer.Argument(help="Name of a built-in scenario (see `list`), or path of a TOML file.")
]
Seed = Annotated[int, typer.Option(help="Random seed; the same seed gives the same plan.")]
RUN_EXAMPLES = """
**Examples**

`tidegate loadgen run http://127.0.0.1:8000/search?q=tea --rate 50 --duration 30s`

`tidegate loadgen run seed`

`tidegate loadgen run seed --slo 0.5 --prometheus http://127.0.0.1:9090`

`tidegate loadgen run steps --threshold 'p95<500ms' --threshold 'failed<=0'`

`tidegate loadgen run my.toml --url http://127.0.0.1:8000 --rows my-rows.ndjson`

`tidegate loadgen run steps --path /quote --body quotes.ndjson`

`tidegate loadgen run http://127.0.0.1:8000/search --rate 20 --header 'X-Key: 1' --check 'json.total>0'`

`tidegate loadgen run steps --path /stream --until first-byte --threshold 'p95<500ms'`

**Exit codes**: 0 success, 1 all requests failed, 2 nothing was sent (invalid argument, no target), 98 invalid
(requests were sent late), 99 a threshold failed (also of an invalid run), 130 interrupted.
"""


@app.command(epilog=RUN_EXAMPLES)
def run(
    scenario: Annotated[
        str,
        typer.Argument(
            help="Name of a built-in scenario (see `list`), path of a TOML file, or with --rate a URL."
        ),
    ] = "",
    *,
    rate_per_second: Annotated[
        float | None,
        typer.Option(
            "--rate",
            parser=rate,
            metavar="RATE",
            help="Constant rate instead of a scenario, in requests per second.",
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            parser=seconds(0.1, 86_400),
            metavar="TIME",
            help="Of --rate; 30s by default.",
        ),
    ] = None,
    url: Annotated[
        str, typer.Option(help="URL of the service or its gateway; its path is kept.")
    ] = "http://127.0.0.1:8000",
    path: Annotated[
        str | None,
        typer.Option(
            help="Path of the requests, with a query if it needs one; /predict without one in the URL.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="HTTP method; GET for a URL with a path and without a body, else POST.",
            show_default=False,
        ),
    ] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(help="Header of each request, 'Name: value'; may be repeated."),
    ] = None,
    prometheus: Annotated[
        str,
        typer.Option(
            help="URL of Prometheus, for the number of replicas and the queue; none by default."
        ),
    ] = "",
    rows: Annotated[
        Path, typer.Option(help="File with the rows to send, one JSON object per line.")
    ] = Path("artefacts/flights/samples.ndjson"),
    body: Annotated[
        Path | None,
        typer.Option(
            help="File with request bodies, one per line, that are sent as they are instead of rows.",
        ),
    ] = None,
    content_type: Annotated[
        str | None,
        typer.Option(
            help="Content type of the bodies; application/json by default.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder in which the folder of the run is created.")
    ] = Path("runs"),
    seed: Seed = 1,
    slo: Annotated[
        float | None,
        typer.Option(
            parser=seconds(0.001, 3600),
            metavar="TIME",
            help="Objective for p95, such as 0.5 or 500ms, shown in the plots.",
        ),
    ] = None,
    until: Annotated[
        Until,
        typer.Option(
            help="Byte of a response at which its response time ends, for thresholds and plots."
        ),
    ] = "last-byte",
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="Threshold of the run, such as 'p95<500ms'; may be repeated."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            help="What each response must pass, such as 'status==201', 'body contains tea' or "
            "'json.items.0.price<10'; may be repeated."
        ),
    ] = None,
    max_lag: Annotated[
        float,
        typer.Option(
            parser=seconds(0.001, 60),
            metavar="TIME",
            help="Most p99 of the send lag; a run with more is invalid.",
        ),
    ] = 0.01,
    timeout: Annotated[
        float,
        typer.Option(
            parser=seconds(0.01, 3600),
            metavar="TIME",
            help="Timeout of a request.",
        ),
    ] = 60.0,
    progress: Annotated[
        float,
        typer.Option(
            parser=seconds(0.1, 3600),
            metavar="TIME",
            help="Time between two lines of progress, without a terminal.",
        ),
    ] = 10.0,
    in_flight: Annotated[
        int,
        typer.Option(
            min=1,
            max=50_000,
            help="Maximum number of requests in flight; further ones fail without being sent.",
        ),
    ] = 10_000,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a target on another machine.")
    ] = False,
) -> None:
    """Send the load of a scenario, show its progress, and write a report."""
    from tidegate.loadgen.run import Options  # noqa: PLC0415 - matplotlib loads slowly, and --help and list do not need it
    from tidegate.loadgen.run import run as run_it  # noqa: PLC0415
    from tidegate.loadgen.send.sender import Limits  # noqa: PLC0415

    if scenario.startswith(("http://", "https://")):
        scenario, url = "", scenario
    options = Options(
        scenario=scenario,
        rate=rate_per_second,
        duration_seconds=duration,
        headers=header or (),
        checks=check or (),
        max_lag_seconds=max_lag,
        progress_seconds=progress,
        url=url,
        rows=rows,
        out=out,
        prometheus=prometheus,
        path=path,
        method=method,
        body=body,
        content_type=content_type,
        seed=seed,
        slo_seconds=slo,
        until=until,
        thresholds=threshold or (),
        allow_remote=allow_remote,
        limits=Limits(timeout_seconds=timeout, in_flight=in_flight),
    )
    with _usage_errors():
        raise typer.Exit(run_it(options, Console()))


@app.command(epilog="Example: `tidegate loadgen plan seed --csv > plan.csv`")
def plan(
    scenario: Scenario,
    seed: Seed = 1,
    csv: Annotated[bool, typer.Option("--csv", help="Print all requests as CSV.")] = False,
) -> None:
    """Show the plan of a scenario without sending requests."""
    with _usage_errors():
        schedule = load_schedule(scenario)
        requests = make_plan(schedule, seed)
    if csv:
        sys.stdout.writelines(plan_csv(requests))
        return
    width = min(60, max(1, round(schedule.seconds)))
    bins = [0.0] * width
    for one in requests:
        bins[min(width - 1, int(one.at / schedule.seconds * width))] += 1
    table = Table.grid(padding=(0, 2))
    table.add_row("scenario", schedule.name)
    table.add_row("", schedule.description)
    table.add_row("requests", f"{len(requests):,} in {schedule.seconds:g} s, {schedule.arrivals}")
    for kind in schedule.weights:
        table.add_row(kind, f"{sum(one.kind == kind for one in requests):,}")
    table.add_row("rate", sparkline(tuple(bins)))
    table.add_row("sha256", digest(requests))
    Console().print(table, highlight=False)


@app.command(epilog="Example: `tidegate loadgen routes http://127.0.0.1:8000 > shop.toml`")
def routes(
    source: Annotated[
        str,
        typer.Argument(help="URL of the application or its OpenAPI document, or a file of JSON."),
    ],
) -> None:
    """Print a scenario with a route for each operation of an OpenAPI document, to be completed."""
    from tidegate.loadgen.send.target import read_document  # noqa: PLC0415

    with _usage_errors():
        sys.stdout.write(scenario_of(read_document(source)))


@app.command("list")
def list_scenarios() -> None:
    """List the built-in scenarios."""
    # The name is whole in each terminal, and its text takes the rest.
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for name in built_in():
        try:
            schedule = load_schedule(name)
        except UsageError as error:
            table.add_row(name, str(error))
            continue
        peak = max(Counter(int(one.at) for one in make_plan(schedule, 1)).values())
        size = f"{float(schedule.requests):,.0f} requests in {schedule.seconds:g} s, {peak} in one second"
        table.add_row(name, f"{size}. {schedule.description}")
    Console().print(table, highlight=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; None means the arguments of the process."""
    # A closed pipe (`plan seed --csv | head`) ends the process without an error.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app(arguments, prog_name="tidegate loadgen")
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        typer.secho(printable(str(error)), fg="red", err=True)
        raise typer.Exit(USAGE_ERROR) from error
