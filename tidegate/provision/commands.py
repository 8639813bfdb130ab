"""The commands of the one-shot jobs: their output and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tidegate.observability_files.paths import project_folder
from tidegate.provision.errors import ProvisionError
from tidegate.provision.secrets.display import listing, read_value
from tidegate.provision.secrets.folders import parse_owned_folder
from tidegate.provision.secrets.init import SecretsInit
from tidegate.settings import Settings


def secrets_init(
    folder: Path, supplied: Path, *, own: Sequence[str], stamp: Path | None, stack_version: str
) -> int:
    """Check whether the stack can start, then create its missing secrets and folders.

    Returns:
        0; or 2 if the stack cannot start, with a line for each problem.
    """
    try:
        folders = [parse_owned_folder(text) for text in own]
        job = SecretsInit(folder, supplied, folders, stamp, stack_version)
        checks = job.checks()
        if problems := [one.text for one in checks if one.state == "failed"]:
            return _fail(*problems)
        for one in checks:
            if one.state == "warn":
                _print(f"warning: {one.text}", sys.stderr)
        for line in job.apply():
            _print(line)
    except ProvisionError as error:
        return _fail(str(error))
    return 0


def secrets_show(name: str, folder: Path) -> int:
    """Print the value of a secret and nothing else; without a name, list the secrets.

    Returns:
        0; or 2 if the value cannot be read, with the reason on stderr.
    """
    try:
        _print(read_value(name, folder, project_folder()) if name else listing())
    except ProvisionError as error:
        return _fail(str(error))
    return 0


def setup_elasticsearch(settings: Settings, *, users: str) -> int:
    """Set up the accounts, templates and retention in Elasticsearch.

    Returns:
        0; or 2 on failure, with the reason on stderr.
    """
    # The import of the client is slow, and `secrets init` does not need it.
    from tidegate.provision.elasticsearch.setup import USERS, set_up  # noqa: PLC0415

    if users not in USERS:
        return _fail(f"--users {users}: must be {' or '.join(USERS)}")
    try:
        set_up(settings, users, _print)
    except ProvisionError as error:
        return _fail(str(error))
    return 0


def setup_kibana(settings: Settings) -> int:
    """Set up the data views, searches and the dashboard in Kibana.

    Returns:
        0; or 2 on failure, with the reason on stderr.
    """
    from tidegate.provision.kibana.setup import set_up  # noqa: PLC0415

    try:
        set_up(settings, _print)
    except ProvisionError as error:
        return _fail(str(error))
    return 0


def first_requests(settings: Settings, *, url: str, rows: Path) -> int:
    """Send requests to a new installation, so that its views show data.

    Returns:
        0, also on failure, which is reported on stderr: the stack works without these requests.
    """
    from tidegate.provision.first_requests import send  # noqa: PLC0415

    try:
        send(settings, url, rows, _print)
    except ProvisionError as error:
        _print(f"{error}; the next start tries again", sys.stderr)
    return 0


def setup_config(
    settings: Settings, folder: Path, *, targets: Sequence[str] = (), ipv6: bool = False
) -> int:
    """Write the configuration and rules of Prometheus.

    Args:
        settings: the settings in force.
        folder: created if it is missing.
        targets: JOB=NAME, the DNS name of the job's targets; empty means the services of Compose.
        ipv6: whether these names have IPv6 addresses.

    Returns:
        0; or 2 if they cannot be written, with the reason on stderr.
    """
    from tidegate.provision.prometheus_config import parse_targets, write_config  # noqa: PLC0415

    try:
        names = parse_targets(targets)
        for line in write_config(settings, folder, names, "AAAA" if ipv6 else "A"):
            _print(line)
    except ProvisionError as error:
        return _fail(str(error))
    return 0


def setup_rules(values: Path) -> int:
    """Print the rules of Prometheus as values of the Helm chart.

    Returns:
        0; or 2 if the values file cannot be read or is invalid, with the reason on stderr.
    """
    from tidegate.provision.chart_rules import chart_rules  # noqa: PLC0415

    try:
        sys.stdout.write(chart_rules(values))
    except ProvisionError as error:
        return _fail(str(error))
    return 0


def roles_file() -> int:
    """Print the roles in the format of roles.yml."""
    from tidegate.provision.elasticsearch.roles import roles_yaml  # noqa: PLC0415

    sys.stdout.write(roles_yaml())
    return 0


def _print(line: str, stream: TextIO | None = None) -> None:
    # Flush each line, so that the progress is visible.
    print(line, file=stream or sys.stdout, flush=True)


def _fail(*problems: str) -> int:
    for problem in problems:
        _print(problem, sys.stderr)
    return 2
