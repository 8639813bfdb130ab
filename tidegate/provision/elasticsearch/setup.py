"""`tidegate setup elasticsearch`: everything that the stack needs in its Elasticsearch, at each start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from elasticsearch import Elasticsearch

from tidegate.provision.elasticsearch import accounts, server, streams
from tidegate.provision.elasticsearch.wait import Say, wait
from tidegate.settings import Settings

USERS: Final[dict[str, Callable[[Elasticsearch, Path], Iterator[str]]]] = {
    "native": accounts.make_accounts,
    "given": accounts.check_accounts,
}
"""What is done about users: made in Elasticsearch itself, or only checked."""


def set_up(settings: Settings, users: str, say: Say) -> None:
    """Wait for it, then bring it into the wanted state; the same again changes nothing.

    Args:
        settings: where it is, and how long events are kept.
        users: one of `USERS`.
        say: is told each thing that was done, in a line.

    Raises:
        ProvisionError: something is in the way; what was said before that is done.
    """
    where = settings.store.elasticsearch
    folder = settings.provision.secrets_dir
    with server.connected(settings) as client:
        wait(client, settings, say)
        say(f"Elasticsearch {server.check(client)} at {where.url}")
        for line in USERS[users](client, folder):
            say(line)
        for line in streams.put_templates(client, where.retention):
            say(line)
        say(streams.teach_streams(client))
        for line in streams.keep_streams(client, where.retention):
            say(line)
