"""`tidegate setup elasticsearch`: sets up Elasticsearch for the stack, at each start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from elasticsearch import Elasticsearch

from tidegate.provision.commands import Report
from tidegate.provision.elasticsearch import accounts, server, streams
from tidegate.provision.elasticsearch.wait import wait
from tidegate.provision.errors import ProvisionError
from tidegate.settings import Settings

USERS: Final[dict[str, Callable[[Elasticsearch, Path], Iterator[str]]]] = {
    "native": accounts.apply_accounts,
    "given": accounts.check_accounts,
}
"""How users are handled: created in the native realm, or only checked."""


def set_up(settings: Settings, users: str, report: Report) -> None:
    """Wait for Elasticsearch, then bring it into the desired state; `users` is a name in `USERS`.

    The operation is idempotent.

    Raises:
        ProvisionError: a step failed; the steps reported before are complete.
    """
    if users not in USERS:
        raise ProvisionError(f"--users {users}: must be {' or '.join(USERS)}")
    elasticsearch = settings.store.elasticsearch
    folder = settings.provision.secrets_dir
    with server.connect(settings) as client:
        wait(client, settings, report)
        report(f"Elasticsearch {server.check_server(client)} at {elasticsearch.url}")
        for line in USERS[users](client, folder):
            report(line)
        for line in streams.put_templates(client, elasticsearch.retention):
            report(line)
        report(streams.update_stream_mappings(client))
        for line in streams.update_stream_retention(client, elasticsearch.retention):
            report(line)
