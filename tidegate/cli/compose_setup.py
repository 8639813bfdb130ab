"""The commands that prepare a stack of containers: its secrets, its stores, its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.components import PANEL
from tidegate.cli.options import settings
from tidegate.provision.secrets.version_stamp import ELASTIC_VERSION

commands = typer.Typer()
secrets = typer.Typer(help="The passwords and keys of the Compose stack.", no_args_is_help=True)
setup = typer.Typer(invoke_without_command=True)
commands.add_typer(secrets, name="secrets", rich_help_panel=PANEL)
commands.add_typer(setup, name="setup", rich_help_panel=PANEL)


@secrets.command("init", epilog="Example: `tidegate secrets init --given ./secrets --own /data`")
def secrets_init(
    folder: Annotated[
        Path,
        typer.Option("--dir", help="A folder for each consumer."),
    ] = Path("/secrets"),
    given: Annotated[
        Path, typer.Option(help="The folder of custom secrets, one file per secret.")
    ] = Path("/given"),
    own: Annotated[
        list[str],
        typer.Option(
            help="PATH or PATH=UID:GID: a folder to create with this owner (default 10001:10001)."
        ),
    ] = [],  # noqa: B006
    stamp: Annotated[
        Path | None,
        typer.Option(help="Elasticsearch's data volume; its version must not be newer."),
    ] = None,
    stack_version: Annotated[
        str, typer.Option(help="The Elastic stack's version.")
    ] = ELASTIC_VERSION,
) -> None:
    """Create missing secrets in the folders of their consumers, and check that the stack can start."""
    from tidegate.provision.commands import run_job
    from tidegate.provision.secrets.init import SecretsInit

    job = SecretsInit(folder, given, own, stamp, stack_version)
    raise typer.Exit(run_job(job.run))


@secrets.command("show", epilog="Example: `tidegate secrets show viewer`")
def secrets_show(
    name: Annotated[str, typer.Argument(help="The secret; default: list all names.")] = "",
    folder: Annotated[
        Path, typer.Option("--dir", help="The folder of the secrets, in a container.")
    ] = Path("/secrets"),
) -> None:
    """Print the value of a secret, and nothing else."""
    from tidegate.provision.commands import run_job
    from tidegate.provision.secrets.display import listing, read_value

    raise typer.Exit(run_job(lambda show: show(read_value(name, folder) if name else listing())))


@setup.callback(epilog="Example: `tidegate setup`, then `tidegate doctor`")
def setup_this_machine(context: typer.Context) -> None:
    """Install what `tidegate up` needs and pip does not bring: Prometheus, into ~/.cache/tidegate.

    The commands below set up the components of a stack in Compose or Kubernetes.
    """
    if context.invoked_subcommand is None:
        from tidegate.terminal.setup_command import setup as run

        raise typer.Exit(run())


@setup.command("elasticsearch", epilog="Example: `tidegate setup elasticsearch --users given`")
def setup_elasticsearch(
    users: Annotated[
        str, typer.Option(help="native: create roles and users; given: only check that they exist.")
    ] = "native",
) -> None:
    """Set up accounts, templates and retention in Elasticsearch. It is idempotent."""
    from tidegate.provision.commands import run_job
    from tidegate.provision.elasticsearch.setup import set_up

    found = settings()
    raise typer.Exit(run_job(lambda report: set_up(found, users, report)))


@setup.command("kibana", epilog="Example: `tidegate setup kibana`")
def setup_kibana() -> None:
    """Wait for Kibana, and import data views, searches and the dashboard. It is idempotent."""
    from tidegate.provision.commands import run_job
    from tidegate.provision.kibana.setup import set_up

    found = settings()
    raise typer.Exit(run_job(lambda report: set_up(found, report)))


@setup.command("config", epilog="Example: `tidegate setup config --out /config`")
def setup_config(
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("/config"),
    target: Annotated[
        list[str],
        typer.Option(
            help="JOB=NAME: the DNS name of a job's targets, as in Kubernetes; default: Compose's services."
        ),
    ] = [],  # noqa: B006
    ipv6: Annotated[bool, typer.Option("--ipv6", help="The names have IPv6 addresses.")] = False,
) -> None:
    """Write Prometheus' configuration and rules for Compose or Kubernetes, from the settings in force."""
    from tidegate.provision.commands import run_job
    from tidegate.provision.prometheus_config import set_up

    found = settings()
    raise typer.Exit(run_job(lambda report: set_up(found, out, target, report, ipv6=ipv6)))


@setup.command("rules", epilog="Example: `tidegate setup rules --values my-values.yaml`")
def setup_rules(
    values: Annotated[Path, typer.Option(help="A values file of the Helm chart.")],
) -> None:
    """Print Prometheus' rules for the settings in values of the Helm chart, as more such values."""
    from tidegate.provision.chart_rules import chart_rules
    from tidegate.provision.commands import run_job

    raise typer.Exit(run_job(lambda show: show(chart_rules(values).rstrip())))


@setup.command("first-requests", epilog="Example: `tidegate setup first-requests`")
def setup_first_requests(
    url: Annotated[str, typer.Option(help="The URL of the gateway.")] = "http://127.0.0.1:8000",
    rows: Annotated[Path, typer.Option(help="The rows to send, one JSON object per line.")] = Path(
        "artefacts/flights/samples.ndjson"
    ),
) -> None:
    """Send a new installation one hundred requests, once, so that its dashboards show data."""
    from tidegate.provision.commands import show, warn
    from tidegate.provision.errors import ProvisionError
    from tidegate.provision.first_requests import send

    try:
        send(settings(), url, rows, show)
    except ProvisionError as error:  # the stack works without them
        warn(f"{error}; the next start tries again")


@setup.command("roles-file")
def setup_roles_file() -> None:
    """Print the roles as a roles.yml, for an Elasticsearch with users in files."""
    from tidegate.provision.elasticsearch.roles import roles_yaml

    typer.echo(roles_yaml(), nl=False)
