"""The commands of the autoscaler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.options import Json, run_search, settings, stop

if TYPE_CHECKING:
    from tidegate.settings import Settings

PANEL = "Scaling"
NOT_RUNNING = 3

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: `tidegate explain --last 5 --inputs`")
def explain(
    last: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of decisions.")] = 20,
    inputs: Annotated[bool, typer.Option(help="Show the measured inputs in a table.")] = False,
    as_json: Json = False,
) -> None:
    """Show the last decisions of the autoscaler and their reasons."""
    from tidegate.autoscaler.audit.explain import explain as run

    run_search(lambda found: run(found, last=last, inputs=inputs, as_json=as_json))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `tidegate explain --last 1000 --json | tidegate replay - --policy hpa`",
)
def replay(
    source: Annotated[
        str, typer.Argument(help="A file with one event per line; - is stdin.")
    ] = "-",
    policy: Annotated[
        str,
        typer.Option(help="Replay with another policy: NAME:OPTION=NUMBER,… or 'max(…)'."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Repeat recorded decisions, byte for byte, or replay them with another policy."""
    from tidegate.lab.replay.command import replay_command as run

    raise typer.Exit(run(settings(), source, policy=policy, as_json=as_json))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `tidegate simulate --policy sloq --policy hpa:inflight=0.7 --trace my.csv"
    " --slots 4 --service-time 0.2 --slo 0.6 --plot page.png`",
)
def simulate(  # noqa: PLR0917 - each is an option of the command line
    trace: Annotated[
        list[str],
        typer.Option(help="A CSV file of requests by `second` or `minute`, or a name: `steady`, …"),
    ],
    policy: Annotated[
        list[str],
        typer.Option(help="NAME, NAME:OPTION=NUMBER,…, 'max(POLICY,…)' or 'min(…)'; repeatable."),
    ] = ["sloq", "hpa:inflight=0.7", "kpa", "ray-serve", "keda", "step"],  # noqa: B006
    peak: Annotated[
        float | None, typer.Option(help="Rescale the trace to this peak, in requests per second.")
    ] = None,
    operating_point: Annotated[
        str | None,
        typer.Option(
            help="A service by name, as `small-fast`; default: that of the trace's family. The options"
            " below change it."
        ),
    ] = None,
    slots: Annotated[int | None, typer.Option(help="Concurrent requests per replica; 4.")] = None,
    service_time: Annotated[
        float | None, typer.Option(help="Mean service time in seconds; 0.2.")
    ] = None,
    service_cv: Annotated[
        float | None, typer.Option(help="Its coefficient of variation; 0.7.")
    ] = None,
    first_byte_share: Annotated[
        float | None,
        typer.Option(
            help="Fraction of the service time until the first byte; below 1 the objective is about it."
        ),
    ] = None,
    slo: Annotated[
        float | None, typer.Option(help="The objective for p95 responses, in seconds; 0.6.")
    ] = None,
    startup: Annotated[
        float | None, typer.Option(help="Seconds until a new replica is ready; 30.")
    ] = None,
    startup_cv: Annotated[
        float | None, typer.Option(help="Coefficient of variation of these seconds; 0.")
    ] = None,
    dispatch: Annotated[
        str | None,
        typer.Option(
            help="`queue`: requests wait at the gateway; `round-robin`: they wait in each replica."
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Replay the trace's own counts instead of Poisson ones of that mean."
        ),
    ] = False,
    minimum: Annotated[
        int | None, typer.Option("--min", help="Minimum number of replicas; 1.")
    ] = None,
    maximum: Annotated[
        int | None, typer.Option("--max", help="Maximum number of replicas; 30.")
    ] = None,
    start: Annotated[int | None, typer.Option(help="Replicas at the start; 3.")] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Runs per policy and trace, which are averaged.")
    ] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="One list of JSON objects.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Write a page of plots: .png, .svg, .pdf. Over time it shows the first trace."
        ),
    ] = None,
) -> None:
    """Compare scaling policies in a simulation of a trace."""
    from tidegate.lab.simulator.command import simulate as run
    from tidegate.lab.simulator.comparison import TraceSpec
    from tidegate.lab.simulator.system import System

    options: dict[str, Any] = {
        "slots": slots,
        "service_seconds": service_time,
        "service_cv": service_cv,
        "first_byte_share": first_byte_share,
        "slo_seconds": slo,
        "startup_seconds": startup,
        "startup_cv": startup_cv,
        "dispatch": dispatch,
        "minimum": minimum,
        "maximum": maximum,
        "start": start,
    }
    given = tuple((name, value) for name, value in options.items() if value is not None)
    traces = [TraceSpec(name, peak, exact, operating_point, given) for name in trace]
    raise typer.Exit(run(policy, traces, System(), seeds, as_json=as_json, plot=plot))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `tidegate tune --trace my.csv --service-time 0.2 --startup 30 --plot line.png`,"
    " or `--from-prometheus 14d` instead of the file",
)
def tune(  # noqa: PLR0917 - each is an option of the command line
    trace: Annotated[
        str | None,
        typer.Option(help="A CSV file of requests by `second` or `minute`, or a name: `steady`, …"),
    ] = None,
    from_prometheus: Annotated[
        str | None,
        typer.Option(help="Instead of a file, the recorded arrival rates of this time: 6h, 14d."),
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="URL of Prometheus; that of the stack.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A policy to try beside the default; repeatable. Without any, 15 of them."
        ),
    ] = None,
    parts: Annotated[int, typer.Option(help="Parts of the trace for cross-validation.")] = 4,
    worth: Annotated[
        float,
        typer.Option(
            min=0, max=1e9, help="Replica-seconds that a second over the objective is worth."
        ),
    ] = 20.0,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each policy on each part.")] = 1,
    peak: Annotated[
        float | None, typer.Option(help="Rescale the trace to this peak, in requests per second.")
    ] = None,
    service_time: Annotated[
        float, typer.Option(help="Mean time of a request in a slot, in seconds.")
    ] = 0.2,
    service_cv: Annotated[float, typer.Option(help="Its coefficient of variation.")] = 0.7,
    first_byte_share: Annotated[
        float, typer.Option(help="Fraction of that time until the first byte.")
    ] = 1.0,
    startup: Annotated[float, typer.Option(help="Seconds until a new replica is ready.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot violations against cost: .png, .svg, .pdf."),
    ] = None,
) -> None:
    """Find the policy and settings for your own traffic, by simulation and cross-validation.

    The objective, the slots of a replica and the bounds are those of the settings.
    """
    from tidegate.autoscaler.types import Bounds
    from tidegate.lab.simulator.system import RequestKind, System
    from tidegate.lab.tuning.command import Tuning, read_trace
    from tidegate.lab.tuning.command import tune as run
    from tidegate.lab.tuning.policy_settings import present_policy
    from tidegate.runtime.http_client import HttpError

    found = settings()
    url = prometheus or f"http://127.0.0.1:{found.prometheus.port}"
    try:
        system = System(
            slots=found.slots.per_replica,
            kinds=(RequestKind(1.0, service_time),),
            service_cv=service_cv,
            slo_seconds=found.slo.latency_seconds,
            slo_quantile=found.slo.latency_quantile,
            startup_seconds=startup,
            bounds=Bounds(found.replicas.min, found.replicas.max),
            start=max(1, found.replicas.min),
            first_byte_share=first_byte_share,
        )
        traffic, missing = read_trace(trace, peak, from_prometheus, url)
        present = present_policy(found, system)
    except (ValueError, HttpError, OSError) as error:
        stop(f"tune: {error}")
    if missing:
        typer.echo(f"{missing} minutes were not recorded and count as no requests", err=True)
    tick = found.autoscaler.tick_seconds
    tuning = Tuning(traffic, system, policy or [], parts, seeds, worth, present, tick)
    raise typer.Exit(run(tuning, as_json=as_json, plot=plot))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `tidegate pause --for 30m` or `tidegate pause --min 3 --for 2h`",
)
def pause(
    minimum: Annotated[
        int | None, typer.Option("--min", help="Minimum number of replicas.")
    ] = None,
    maximum: Annotated[
        int | None, typer.Option("--max", help="Maximum number of replicas.")
    ] = None,
    length: Annotated[str, typer.Option("--for", help="Duration: 30s, 5m, 2h, 1d.")] = "1h",
) -> None:
    """Fix the number of replicas for a time; with bounds, the policy decides within them."""
    from tidegate.autoscaler.live.pause_command import pause as run

    found = settings()
    _require_stack(found)
    raise typer.Exit(run(found, minimum=minimum, maximum=maximum, length=length))


@commands.command(rich_help_panel=PANEL)
def resume() -> None:
    """End a pause: the policy decides again."""
    from tidegate.autoscaler.live.pause_command import resume as run

    raise typer.Exit(run(settings()))


def _require_stack(found: Settings) -> None:
    """Exit with 3 if no stack runs. In Docker Compose the data folder has no supervisor, thus no `run`."""
    from tidegate.stack.data_folder import Layout

    layout = Layout(found.stack.data_dir)
    if not layout.data.is_dir() or (layout.run.is_dir() and layout.holder() is None):
        stop(f"no stack runs in {layout.data}: start one with `tidegate up`", NOT_RUNNING)
