"""Waits until Elasticsearch can be used, and tells how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from elastic_transport import TlsError
from elasticsearch import ApiError, Elasticsearch, TransportError

from tidegate.provision.elasticsearch.server import needed, plain
from tidegate.provision.problems import ProvisionError
from tidegate.settings import Settings
from tidegate.store.elasticsearch import responses

POLL_SECONDS: Final = 1.0
TELL_SECONDS: Final = 15.0
# While its index of users is not there yet, a server that has just started refuses right passwords, too.
REFUSED_SECONDS: Final = 20.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why it cannot be used now.

    Attributes:
        text: in words.
        patience: how many seconds it may last; None means as long as there is time at all.
    """

    text: str
    patience: float | None = None


def wait(
    client: Elasticsearch,
    settings: Settings,
    say: Say,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until it answers, lets us in, and is not red; tell how it goes.

    Raises:
        ProvisionError: it does not come to that in `provision.start_seconds`, or never will.
    """
    start = now()
    told, told_at, since = "", start, start
    while trouble := look(client, settings):
        moment = now()
        waited = moment - start
        if trouble.text != told:
            since = moment
        patience = (
            settings.provision.start_seconds if trouble.patience is None else trouble.patience
        )
        if waited >= settings.provision.start_seconds or moment - since >= patience:
            raise ProvisionError(trouble.text + (f" (waited {waited:.0f} s)" if waited else ""))
        if trouble.text != told or moment - told_at >= TELL_SECONDS:
            say(f"waiting, {waited:.0f} s: {trouble.text}")
            told, told_at = trouble.text, moment
        sleep(POLL_SECONDS)


def look(client: Elasticsearch, settings: Settings) -> Trouble | None:
    """Why it cannot be used now; None if it can."""
    name = f"Elasticsearch at {settings.store.elasticsearch.url}"
    try:
        health = client.cluster.health().body
    except ApiError as error:
        return _refusal(error, name, settings)
    except TlsError as error:
        return Trouble(f"{name}: TLS fails: {error.message}", 0)
    except TransportError as error:
        return Trouble(f"{name} cannot be reached: {plain(error)}")
    if health["status"] != "red":
        return None
    missing = health["unassigned_primary_shards"] + health["initializing_shards"]
    return Trouble(
        f"{name} is red, {missing} of its primary shards are not there:"
        " `GET _cluster/allocation/explain` says why"
    )


def _refusal(error: ApiError, name: str, settings: Settings) -> Trouble:
    status, why = error.status_code, responses.reason(error)
    if status in {401, 403}:
        return Trouble(
            f"{name} refuses {settings.provision.username} with {status}: the password in"
            f" {settings.provision.secrets_dir / 'elastic'} is not the one that it has;"
            " docs/how-to/secrets.md says how both agree again",
            REFUSED_SECONDS,
        )
    if "media_type_header_exception" in why:
        return Trouble(f"{name} is older than 9, and this stack needs {needed()}", 0)
    return Trouble(f"{name} answers {status}: {why}", None if status >= 429 else 0)
