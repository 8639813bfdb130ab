"""`tidegate setup elasticsearch`: sets up Elasticsearch for the stack, at each start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from elastic_transport import TlsError
from elasticsearch import ApiError, Elasticsearch, TransportError

from tidegate.provision.commands import Report
from tidegate.provision.elasticsearch import accounts, server, streams
from tidegate.provision.elasticsearch.server import supported_versions, transport_reason
from tidegate.provision.errors import ProvisionError
from tidegate.settings import Settings
from tidegate.store.elasticsearch import responses

POLL_SECONDS: Final = 1.0
REPORT_SECONDS: Final = 15.0
# A server that has just started refuses correct passwords until its index of users is available.
REFUSED_TIMEOUT_SECONDS: Final = 20.0
USERS: Final[dict[str, Callable[[Elasticsearch, Path], Iterator[str]]]] = {
    "native": accounts.apply_accounts,
    "given": accounts.check_accounts,
}
"""How users are handled: created in the native realm, or only checked."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why Elasticsearch is not available now, and how long that may last.

    Without a timeout of its own, that is `provision.start_seconds`.
    """

    text: str
    timeout_seconds: float | None = None


def wait(
    client: Elasticsearch,
    settings: Settings,
    report: Report,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until Elasticsearch responds, accepts the login and is not red; report the progress.

    Raises:
        ProvisionError: it is not available within `provision.start_seconds`, or the problem is permanent.
    """
    start = now()
    deadline = settings.provision.start_seconds
    reported, reported_at, since = "", start, start
    while problem := find_problem(client, settings):
        current = now()
        waited = current - start
        if problem.text != reported:
            since = current
        timeout = deadline if problem.timeout_seconds is None else problem.timeout_seconds
        if waited >= deadline or current - since >= timeout:
            raise ProvisionError(problem.text + (f" (waited {waited:.0f} s)" if waited else ""))
        if problem.text != reported or current - reported_at >= REPORT_SECONDS:
            report(f"waiting, {waited:.0f} s: {problem.text}")
            reported, reported_at = problem.text, current
        sleep(POLL_SECONDS)


def find_problem(client: Elasticsearch, settings: Settings) -> Problem | None:
    """Why Elasticsearch is not available now; None if it is."""
    name = f"Elasticsearch at {settings.store.elasticsearch.url}"
    try:
        health = client.cluster.health().body
    except ApiError as error:
        return _refusal(error, name, settings)
    except TlsError as error:
        return Problem(f"{name}: TLS fails: {error.message}", 0)
    except TransportError as error:
        return Problem(f"{name} cannot be reached: {transport_reason(error)}")
    if health["status"] != "red":
        return None
    missing = health["unassigned_primary_shards"] + health["initializing_shards"]
    return Problem(
        f"{name} is red, {missing} of its primary shards are not available:"
        " `GET _cluster/allocation/explain` gives the reason"
    )


def _refusal(error: ApiError, name: str, settings: Settings) -> Problem:
    status, why = error.status_code, responses.reason(error)
    if status in {401, 403}:
        return Problem(
            f"{name} refuses {settings.provision.username} with {status}: the password in"
            f" {settings.provision.secrets_dir / 'elastic'} is not the password of that user;"
            " see docs/how-to/secrets.md",
            REFUSED_TIMEOUT_SECONDS,
        )
    if "media_type_header_exception" in why:
        return Problem(f"{name} is older than 9, but this stack needs {supported_versions()}", 0)
    return Problem(f"{name} responds with {status}: {why}", None if status >= 429 else 0)


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
