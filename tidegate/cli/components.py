"""The commands that each run one component: gateway, collector, autoscaler, resizer, exporter, console."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.cli.options import settings, stop

PANEL = "Components, which the stack and Docker Compose run for you"

commands = typer.Typer()


@commands.command(rich_help_panel=PANEL, epilog="Example: `tidegate gateway --dns-name model:8000`")
def gateway(
    dns_name: Annotated[str, typer.Option(help="NAME:PORT of the replicas.")],
    dns_server: Annotated[
        str,
        typer.Option(help="HOST:PORT of the DNS server that resolves it; default: Docker's."),
    ] = "127.0.0.11:53",
    service: Annotated[
        str,
        typer.Option(
            help="In Kubernetes: the Service whose pods are the replicas. Their addresses come from the API"
            " server then, and not from the DNS server."
        ),
    ] = "",
) -> None:
    """Run the gateway alone, in front of all replicas that a DNS name resolves to, as in Compose."""
    from tidegate.stack.gateway.process import run

    raise typer.Exit(run(settings(), dns_name=dns_name, dns_server=dns_server, service=service))


@commands.command(rich_help_panel=PANEL)
def collector() -> None:
    """Run the collector alone (the stack runs it for you)."""
    from tidegate.collector.run import run

    raise typer.Exit(run(settings()))


@commands.command(rich_help_panel=PANEL)
def autoscaler(
    resizer: Annotated[
        str,
        typer.Option(
            help="The address of the resizer: unix:PATH or http://HOST:PORT; none with autoscaler.scaler ="
            " keda."
        ),
    ] = "",
    prometheus: Annotated[
        str, typer.Option(help="The URL of Prometheus; default: that of the stack.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Record decisions, but change nothing.")
    ] = False,
) -> None:
    """Run the autoscaler alone (the stack runs it for you)."""
    from tidegate.autoscaler.live.run import run

    raise typer.Exit(run(settings(), resizer=resizer, prometheus=prometheus, dry_run=dry_run))


@commands.command(
    rich_help_panel=PANEL, epilog="Example: `tidegate resizer` as a service of the Compose project"
)
def resizer(
    project: Annotated[
        str, typer.Option(help="The Compose project; needed outside of its containers.")
    ] = "",
) -> None:
    """Set the number of replicas in Docker Compose, Kubernetes or Ray Serve, as requested over HTTP."""
    loaded = settings()
    backend = loaded.resizer.backend
    if project and backend != "compose":
        stop(f"--project: is for Docker Compose, and resizer.backend is {backend!r}")
    if backend == "kubernetes":
        from tidegate.resizer.kubernetes.run import run as run_kubernetes

        raise typer.Exit(run_kubernetes(loaded))
    if backend == "ray":
        from tidegate.resizer.ray.run import run as run_ray

        raise typer.Exit(run_ray(loaded))
    from tidegate.resizer.compose.run import run

    raise typer.Exit(run(loaded, project=project))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `TIDEGATE_EXPORTER__LOGSTASH_URL=http://127.0.0.1:9600 tidegate exporter`",
)
def exporter() -> None:
    """Export metrics of Logstash and Elasticsearch to Prometheus, and write alerts as events."""
    from tidegate.exporter.run import run

    raise typer.Exit(run(settings()))


@commands.command(rich_help_panel=PANEL)
def console(
    prometheus: Annotated[
        str,
        typer.Option(
            help="The URL of Prometheus, which also tells the status where no supervisor runs, as in Compose;"
            " default: those of the stack on this machine."
        ),
    ] = "",
) -> None:
    """Run the web console alone (the stack runs it for you)."""
    from tidegate.console.run import run

    raise typer.Exit(run(settings(), prometheus=prometheus))
