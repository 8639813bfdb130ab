"""The command line, thin."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.plan import digest, make_plan, plan_csv
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.plan.scenario import built_in, load_schedule
from tidegate.loadgen.report.live_view import sparkline

app = typer.Typer(
    name="loadgen",
    help="An open-loop load generator: each request goes out at its planned time, come what may.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)
USAGE_ERROR = 2

Scenario = Annotated[
    str, typer.Argument(help="A built-in scenario (see `list`), or the path of a TOML file.")
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same plan, byte for byte.")]
RUN_EXAMPLES = """
**Examples**

`tidegate loadgen run seed`

`tidegate loadgen run seed --slo 0.5 --prometheus http://127.0.0.1:9090`

`tidegate loadgen run steps --threshold 'p95<500ms' --threshold 'failed<=0'`

`tidegate loadgen run my.toml --url http://127.0.0.1:8000 --rows my-rows.ndjson`

**Exit codes**: 0 good, 1 every request failed, 2 nothing was sent (a bad argument, no target), 98 invalid
(requests were sent late), 99 a threshold failed, 130 interrupted.
"""


@app.command(epilog=RUN_EXAMPLES)
def run(
    scenario: Scenario,
    *,
    url: Annotated[str, typer.Option(help="The service or its gateway.")] = "http://127.0.0.1:8000",
    path: Annotated[str, typer.Option(help="Where requests are posted to.")] = "/predict",
    prometheus: Annotated[
        str, typer.Option(help="Its Prometheus, for replicas and queue; default: none.")
    ] = "",
    rows: Annotated[Path, typer.Option(help="The rows to send, one JSON object a line.")] = Path(
        "artefacts/flights/samples.ndjson"
    ),
    out: Annotated[Path, typer.Option(help="The folder for the run's own folder.")] = Path("runs"),
    seed: Seed = 1,
    slo: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=3600, help="The objective for p95, in seconds: drawn in the plots."
        ),
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(help="What the run must keep, like 'p95<500ms'; may be given more than once."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.01, max=3600, help="Seconds until a request has failed.")
    ] = 60.0,
    in_flight: Annotated[
        int,
        typer.Option(
            min=1, max=50_000, help="Unanswered requests at which the next one fails unsent."
        ),
    ] = 10_000,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Send load to another machine.")
    ] = False,
) -> None:
    """Send a scenario's load, watch it, and report."""
    from tidegate.loadgen.run import Options  # noqa: PLC0415 - plots load slowly; --help and list need none
    from tidegate.loadgen.run import run as run_it  # noqa: PLC0415
    from tidegate.loadgen.send.sender import Limits  # noqa: PLC0415

    options = Options(
        scenario=scenario,
        url=url,
        rows=rows,
        out=out,
        prometheus=prometheus,
        path=path,
        seed=seed,
        slo_seconds=slo,
        thresholds=threshold or (),
        allow_remote=allow_remote,
        limits=Limits(timeout_seconds=timeout, in_flight=in_flight),
    )
    with _explained():
        raise typer.Exit(run_it(options, Console()))


@app.command(epilog="Example: `tidegate loadgen plan seed --csv > plan.csv`")
def plan(
    scenario: Scenario,
    seed: Seed = 1,
    csv: Annotated[bool, typer.Option("--csv", help="Every request, as CSV.")] = False,
) -> None:
    """Show what a run would send, without sending anything."""
    with _explained():
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
    for kind in REQUEST_KINDS:
        table.add_row(kind, f"{sum(one.kind == kind for one in requests):,}")
    table.add_row("rate", sparkline(tuple(bins)))
    table.add_row("sha256", digest(requests))
    Console().print(table, highlight=False)


@app.command("list")
def list_scenarios() -> None:
    """Show the built-in scenarios."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("scenario", "requests", "seconds", "most in one", "what for"):
        table.add_column(name, justify="left" if name in {"scenario", "what for"} else "right")
    for name in built_in():
        try:
            schedule = load_schedule(name)
        except UsageError as error:
            table.add_row(name, "-", "-", "-", str(error))
            continue
        table.add_row(
            name,
            f"{float(schedule.requests):,.0f}",
            f"{schedule.seconds:g}",
            f"{max(Counter(int(one.at) for one in make_plan(schedule, 1)).values())}",
            schedule.description,
        )
    Console().print(table, highlight=False)


@app.command(epilog="Example: `tidegate loadgen report runs/latest`")
def report(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.")] = Path("runs/latest"),
) -> None:
    """Draw the plots and write the report of a run again."""
    from tidegate.loadgen.report.page import write_report  # noqa: PLC0415 - plots load slowly
    from tidegate.loadgen.report.results import read_run  # noqa: PLC0415

    with _explained():
        path = write_report(folder, *read_run(folder))
    typer.echo(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; None takes the arguments of the process."""
    # A closed pipe (`plan seed --csv | head`) ends it quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app(arguments, prog_name="tidegate loadgen")
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(USAGE_ERROR) from error
