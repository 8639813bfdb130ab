"""The one-shots' commands: what they print, and their exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tidegate.observability_files.paths import project_folder
from tidegate.provision.problems import ProvisionError
from tidegate.provision.secrets.display import listing, value
from tidegate.provision.secrets.folders import owned
from tidegate.provision.secrets.init import Initial
from tidegate.settings import Settings


def secrets_init(
    folder: Path, given: Path, *, own: Sequence[str], stamp: Path | None, stack_version: str
) -> int:
    """Look whether the stack can start, then make what is missing of its secrets and folders.

    Returns:
        0; or 2 if something stands against a start, each in a sentence.
    """
    try:
        owned_folders = [owned(text) for text in own]
        initial = Initial(folder, given, owned_folders, stamp, stack_version)
        if problems := initial.problems():
            return _stopped(*problems)
        for warning in initial.warnings():
            _say(f"warning: {warning}", sys.stderr)
        for line in initial.make():
            _say(line)
    except ProvisionError as error:
        return _stopped(str(error))
    return 0


def secrets_show(name: str, folder: Path) -> int:
    """Print a secret's value and nothing else; without a name, what there is.

    Returns:
        0; or 2 if it cannot be had, and why is said.
    """
    try:
        _say(value(name, folder, project_folder()) if name else listing())
    except ProvisionError as error:
        return _stopped(str(error))
    return 0


def setup_elasticsearch(settings: Settings, *, users: str) -> int:
    """Put accounts, templates and retention in place.

    Returns:
        0; or 2 if something is in the way, and what it is is said.
    """
    # Its client takes a while to import, which the secrets need not wait for.
    from tidegate.provision.elasticsearch.setup import USERS, set_up  # noqa: PLC0415

    if users not in USERS:
        return _stopped(f"--users {users}: must be {' or '.join(USERS)}")
    try:
        set_up(settings, users, _say)
    except ProvisionError as error:
        return _stopped(str(error))
    return 0


def setup_kibana(settings: Settings) -> int:
    """Put data views, searches and the dashboard in Kibana.

    Returns:
        0; or 2 if something is in the way, and what it is is said.
    """
    from tidegate.provision.kibana.setup import set_up  # noqa: PLC0415

    try:
        set_up(settings, _say)
    except ProvisionError as error:
        return _stopped(str(error))
    return 0


def first_requests(settings: Settings, *, url: str, rows: Path) -> int:
    """Send a new installation what its views show at first.

    Returns:
        0, also if it did not work: why is said, and the stack is as good without.
    """
    from tidegate.provision.first_requests import send  # noqa: PLC0415

    try:
        send(settings, url, rows, _say)
    except ProvisionError as error:
        _say(f"{error}; the next start tries again", sys.stderr)
    return 0


def setup_config(settings: Settings, folder: Path) -> int:
    """Write what Prometheus reads.

    Returns:
        0; or 2 if it cannot be written, and why is said.
    """
    from tidegate.provision.prometheus_config import write_config  # noqa: PLC0415

    try:
        for line in write_config(settings, folder):
            _say(line)
    except ProvisionError as error:
        return _stopped(str(error))
    return 0


def roles_file() -> int:
    """Print the roles as a roles.yml."""
    from tidegate.provision.elasticsearch.roles import roles_yaml  # noqa: PLC0415

    sys.stdout.write(roles_yaml())
    return 0


def _say(line: str, stream: TextIO | None = None) -> None:
    # Someone waits for a one-shot: they shall see how far it is.
    print(line, file=stream or sys.stdout, flush=True)


def _stopped(*problems: str) -> int:
    for problem in problems:
        _say(problem, sys.stderr)
    return 2
