"""The commands that run one part of the stack alone, that set Docker Compose up, and that write files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import settings
from tidegate.provision.secrets.version_stamp import ELASTIC_VERSION

PANEL = "Parts, which the stack and Docker Compose run for you"

commands = typer.Typer()
secrets = typer.Typer(help="The passwords and keys of the Compose stack.", no_args_is_help=True)
setup = typer.Typer(
    help="Bring the Compose stack's stores into the state they should have.", no_args_is_help=True
)
commands.add_typer(secrets, name="secrets", rich_help_panel=PANEL)
commands.add_typer(setup, name="setup", rich_help_panel=PANEL)


@commands.command(rich_help_panel=PANEL, epilog="Example: `tidegate gateway --dns-name model:8000`")
def gateway(
    dns_name: Annotated[str, typer.Option(help="NAME:PORT of the replicas.")],
    dns_server: Annotated[
        str, typer.Option(help="HOST:PORT of the name server that knows them; default: Docker's.")
    ] = "127.0.0.11:53",
) -> None:
    """Run the gateway alone, in front of all replicas that a name stands for (Compose runs it)."""
    from tidegate.stack.gateway.process import run

    raise typer.Exit(run(settings(), dns_name=dns_name, dns_server=dns_server))


@commands.command(rich_help_panel=PANEL)
def collector() -> None:
    """Run the collector alone (the stack runs it for you)."""
    from tidegate.collector.run import run

    raise typer.Exit(run(settings()))


@commands.command(rich_help_panel=PANEL)
def autoscaler(
    resizer: Annotated[
        str, typer.Option(help="Where the resizer is: unix:PATH or http://HOST:PORT.")
    ],
    prometheus: Annotated[
        str, typer.Option(help="Where Prometheus is; default: the stack's own.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Decide and write down, but change nothing.")
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
        str, typer.Option(help="The Compose project, where this runs in no container of it.")
    ] = "",
) -> None:
    """Set the number of replicas in Docker Compose, as it is asked to over HTTP."""
    from tidegate.resizer.compose.run import run

    raise typer.Exit(run(settings(), project=project))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Example: `TIDEGATE_EXPORTER__LOGSTASH_URL=http://127.0.0.1:9600 tidegate exporter`",
)
def exporter() -> None:
    """Tell Prometheus about Logstash and Elasticsearch, and write alerts down as events."""
    from tidegate.exporter.run import run

    raise typer.Exit(run(settings()))


@secrets.command("init", epilog="Example: `tidegate secrets init --given ./secrets --own /data`")
def secrets_init(
    folder: Annotated[Path, typer.Option("--dir", help="A folder for each consumer.")] = Path(
        "/secrets"
    ),
    given: Annotated[Path, typer.Option(help="Files of own values, one a secret.")] = Path(
        "/given"
    ),
    own: Annotated[
        list[str],
        typer.Option(help="PATH or PATH=UID:GID: a folder to make and give away (10001:10001)."),
    ] = [],  # noqa: B006
    stamp: Annotated[
        Path | None, typer.Option(help="Elasticsearch's data volume, which may not be newer.")
    ] = None,
    stack_version: Annotated[
        str, typer.Option(help="The Elastic stack's version.")
    ] = ELASTIC_VERSION,
) -> None:
    """Make what is missing of the secrets, each where it is read; look whether the stack can start."""
    from tidegate.provision.commands import secrets_init as run

    raise typer.Exit(run(folder, given, own=own, stamp=stamp, stack_version=stack_version))


@secrets.command("show", epilog="Example: `tidegate secrets show viewer`")
def secrets_show(
    name: Annotated[str, typer.Argument(help="Which; without it, list them all.")] = "",
    folder: Annotated[Path, typer.Option("--dir", help="Where they are, in a container.")] = Path(
        "/secrets"
    ),
) -> None:
    """Print a secret, and nothing else."""
    from tidegate.provision.commands import secrets_show as run

    raise typer.Exit(run(name, folder))


@setup.command("elasticsearch", epilog="Example: `tidegate setup elasticsearch --users given`")
def setup_elasticsearch(
    users: Annotated[
        str, typer.Option(help="native: make roles and users; given: only check that they are.")
    ] = "native",
) -> None:
    """Put accounts, templates and retention in place. It can run at each start."""
    from tidegate.provision.commands import setup_elasticsearch as run

    raise typer.Exit(run(settings(), users=users))


@setup.command("kibana", epilog="Example: `tidegate setup kibana`")
def setup_kibana() -> None:
    """Wait for Kibana, and put data views, searches and the dashboard in it. It can run at each start."""
    from tidegate.provision.commands import setup_kibana as run

    raise typer.Exit(run(settings()))


@setup.command("config", epilog="Example: `tidegate setup config --out /config`")
def setup_config(
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("/config"),
) -> None:
    """Write Prometheus' configuration and rules for Compose, from the settings in force."""
    from tidegate.provision.commands import setup_config as run

    raise typer.Exit(run(settings(), out))


@setup.command("first-requests", epilog="Example: `tidegate setup first-requests`")
def setup_first_requests(
    url: Annotated[str, typer.Option(help="The gateway.")] = "http://127.0.0.1:8000",
    rows: Annotated[Path, typer.Option(help="Rows to send, one JSON object a line.")] = Path(
        "artefacts/flights/samples.ndjson"
    ),
) -> None:
    """Send a new installation a hundred requests, once, so that its views have something to show."""
    from tidegate.provision.commands import first_requests as run

    raise typer.Exit(run(settings(), url=url, rows=rows))


@setup.command("roles-file")
def setup_roles_file() -> None:
    """Print the roles as a roles.yml, for an Elasticsearch whose users are kept in files."""
    from tidegate.provision.commands import roles_file as run

    raise typer.Exit(run())
