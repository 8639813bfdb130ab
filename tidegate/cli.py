"""The command line, thin: each command reads the settings and calls the room that does the work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tidegate.settings import Settings, SettingsError, load

app = typer.Typer(
    name="tidegate",
    help="Observability and autoscaling for machine-learning model services.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

Since = Annotated[str, typer.Option(help="How far back: 30s, 5m, 2h, 1d, or a time in ISO 8601.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def _settings() -> Settings:
    try:
        return load()
    except SettingsError as error:
        _stop(str(error))


def _stop(message: str) -> NoReturn:
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(2)


@app.command(epilog="Example: `tidegate train --out artefacts/flights`")
def train(
    out: Annotated[Path, typer.Option(help="The artefact folder to write.")] = Path(
        "artefacts/flights"
    ),
    force: Annotated[bool, typer.Option(help="Train even if the artefact is there.")] = False,
) -> None:
    """Train the flight-delay model and write its artefact."""
    from service.training import train_flights

    train_flights(out, force=force)


@app.command(epilog="Example: `tidegate up --detach && tidegate status`")
def up(
    detach: Annotated[bool, typer.Option(help="Go on in the background.")] = False,
    store: Annotated[str | None, typer.Option(help="embedded or elasticsearch.")] = None,
) -> None:
    """Start the whole stack on this machine."""
    from tidegate.stack.commands import up as run

    raise typer.Exit(run(_settings(), detach=detach, store=store))


@app.command()
def status(as_json: Json = False) -> None:
    """Show what runs, where, and how it is."""
    from tidegate.stack.commands import status as run

    raise typer.Exit(run(_settings(), as_json=as_json))


@app.command()
def down() -> None:
    """Stop the stack: replicas finish their requests, every event is delivered."""
    from tidegate.stack.commands import down as run

    raise typer.Exit(run(_settings()))


@app.command()
def doctor() -> None:
    """Say what is missing or in the way, and what to do about it."""
    from tidegate.stack.commands import doctor as run

    raise typer.Exit(run(_settings()))


@app.command(
    epilog="Example: `tidegate search 'log.level:error AND tidegate.work:heavy' --since 5m`"
)
def search(
    query: Annotated[str, typer.Argument(help="A Lucene query over the events' fields.")] = "",
    since: Since = "1h",
    until: Annotated[str, typer.Option(help="Up to when; as --since.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Events shown.")] = 50,
    as_json: Json = False,
) -> None:
    """Find events."""
    from tidegate.store.commands import search as run

    raise typer.Exit(
        run(_settings(), query, since=since, until=until, limit=limit, as_json=as_json)
    )


@app.command(epilog="Example: `tidegate trace 4bf92f3577b34da6a3ce929d0e0e4736`")
def trace(
    trace_id: Annotated[str, typer.Argument(help="32 hexadecimal digits.")], as_json: Json = False
) -> None:
    """Show one request: its spans as a waterfall, and every event of its trace."""
    from tidegate.store.commands import trace as run

    raise typer.Exit(run(_settings(), trace_id, as_json=as_json))


@app.command(epilog="Example: `tidegate logs --follow --query 'service.node.name:flights-2'`")
def logs(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events arrive.")] = False,
    query: Annotated[str, typer.Option(help="A Lucene query over the events' fields.")] = "",
    since: Since = "5m",
    as_json: Json = False,
) -> None:
    """Show events, oldest first."""
    from tidegate.store.commands import logs as run

    raise typer.Exit(run(_settings(), query, since=since, follow=follow, as_json=as_json))


@app.command()
def collector() -> None:
    """Run the collector alone (the stack runs it for you)."""
    from tidegate.collector.run import run

    raise typer.Exit(run(_settings()))


@app.command()
def autoscaler(
    resizer: Annotated[
        str, typer.Option(help="Where the resizer is: unix:PATH or http://HOST:PORT.")
    ],
    prometheus: Annotated[
        str, typer.Option(help="Where Prometheus is; default: the stack's own.")
    ] = "",
) -> None:
    """Run the autoscaler alone (the stack runs it for you)."""
    from tidegate.autoscaler.run import run

    raise typer.Exit(run(_settings(), resizer=resizer, prometheus=prometheus))


@app.command(
    epilog="Example: `tidegate simulate --policy sloq --policy hpa:inflight=0.7 --trace my.csv"
    " --slots 4 --service-time 0.2 --slo 0.6 --plot page.png`"
)
def simulate(  # noqa: PLR0917 - each is an option of the command line
    trace: Annotated[
        list[str],
        typer.Option(help="A CSV file of requests by `second` or `minute`, or a name: `steady`, …"),
    ],
    policy: Annotated[
        list[str], typer.Option(help="NAME or NAME:OPTION=NUMBER,…; may be given several times.")
    ] = ["sloq", "hpa:inflight=0.7", "kpa", "ray-serve", "keda", "step"],  # noqa: B006
    peak: Annotated[
        float | None, typer.Option(help="Rescale the trace to this many requests a second.")
    ] = None,
    slots: Annotated[int, typer.Option(help="Requests that a replica works on at once.")] = 4,
    service_time: Annotated[float, typer.Option(help="Mean seconds in a slot.")] = 0.2,
    service_cv: Annotated[float, typer.Option(help="Its coefficient of variation.")] = 0.7,
    slo: Annotated[float, typer.Option(help="The objective for p95 responses, in seconds.")] = 0.6,
    startup: Annotated[float, typer.Option(help="Seconds until a new replica is ready.")] = 30.0,
    least: Annotated[int, typer.Option("--min", help="Never fewer replicas.")] = 1,
    most: Annotated[int, typer.Option("--max", help="Never more replicas.")] = 30,
    start: Annotated[int, typer.Option(help="Replicas at the start.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, to average over.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One list of JSON objects.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write a page of plots: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Try scaling policies on a trace before any of them goes live."""
    from tidegate.autoscaler.simulate import Comparison
    from tidegate.autoscaler.simulate import simulate as run
    from tidegate.autoscaler.simulator.matches import TraceSpec
    from tidegate.autoscaler.simulator.system import Kind, System
    from tidegate.autoscaler.types import Bounds

    try:
        system = System(
            slots=slots,
            kinds=(Kind(1.0, service_time),),
            service_cv=service_cv,
            slo_seconds=slo,
            startup_seconds=startup,
            bounds=Bounds(least, most),
            start=start,
        )
    except ValueError as error:
        _stop(str(error))
    traces = [TraceSpec(name, peak) for name in trace]
    raise typer.Exit(run(Comparison(policy, traces, system, seeds), as_json=as_json, plot=plot))


@app.command()
def render(
    check: Annotated[
        bool, typer.Option(help="Write nothing; exit 1 if a file is not current.")
    ] = False,
) -> None:
    """Write the generated files: rules and alerts, docs/settings.md."""
    from tidegate.render.commands import render as run

    raise typer.Exit(run(_settings(), check=check))


@app.command()
def demo() -> None:
    """Run the main job: start with one replica, send load, watch it scale, find a request."""
    from tidegate.stack.demo import demo as run

    raise typer.Exit(run(_settings()))


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
