"""The key with which Kibana is filled: made for the occasion, good for nothing else, gone afterwards.

The superuser's password goes to Elasticsearch only, which knows it anyway. What Kibana gets to see can
change the objects of its default space for ten minutes, and can neither read an event nor touch the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    Elasticsearch,
    TransportError,
)

from tidegate.provision.elasticsearch.server import plain
from tidegate.provision.kibana.api import trust
from tidegate.provision.problems import ProvisionError
from tidegate.runtime.secret_files import SecretFileError, read_secret
from tidegate.settings import Settings
from tidegate.store.elasticsearch import responses

NAME: Final = "tidegate-setup-kibana"
LIFETIME: Final = "10m"
REQUEST_SECONDS: Final = 30.0
ROLE: Final[dict[str, Any]] = {
    "cluster": [],
    "indices": [],
    "applications": [
        {
            "application": "kibana-.kibana",
            "privileges": ["space_all"],
            "resources": ["space:default"],
        }
    ],
}


@contextmanager
def api_key(settings: Settings) -> Iterator[str]:
    """A key as Kibana takes it; empty if `kibana.password_file` is not set.

    Raises:
        ProvisionError: it cannot be made.
    """
    password_file = settings.kibana.password_file
    if password_file is None:
        yield ""
        return
    with _client(settings, _read(password_file)) as client:
        identity, encoded = _make(client, settings)
        try:
            yield encoded
        finally:
            # It ends by itself if Elasticsearch went away.
            with suppress(ApiError, TransportError):
                client.security.invalidate_api_key(ids=[identity])


def _make(client: Elasticsearch, settings: Settings) -> tuple[str, str]:
    url, user = settings.store.elasticsearch.url, settings.kibana.username
    try:
        made = client.security.create_api_key(
            name=NAME, expiration=LIFETIME, role_descriptors={NAME: ROLE}
        )
    except AuthenticationException as error:
        raise ProvisionError(
            f"Elasticsearch at {url} does not let {user!r} in: kibana.password_file does not hold its "
            "password"
        ) from error
    except AuthorizationException as error:
        raise ProvisionError(
            f"Elasticsearch at {url} lets {user!r} (kibana.username) make no API key: it needs the cluster "
            "privilege manage_own_api_key"
        ) from error
    except ApiError as error:
        raise ProvisionError(
            f"Elasticsearch at {url} makes no API key: {responses.reason(error)}"
        ) from error
    except TransportError as error:
        raise ProvisionError(f"Elasticsearch at {url} cannot be reached: {plain(error)}") from error
    return made["id"], made["encoded"]


def _client(settings: Settings, password: str) -> Elasticsearch:
    server = settings.store.elasticsearch
    options: dict[str, Any] = {}
    if server.ca_file is not None:
        options["ssl_context"] = trust(server.ca_file, "store.elasticsearch.ca_file")
    return Elasticsearch(
        server.url,
        basic_auth=(settings.kibana.username, password),
        request_timeout=REQUEST_SECONDS,
        max_retries=0,
        **options,
    )


def _read(password_file: Path) -> str:
    try:
        return read_secret(password_file, "kibana.password_file")
    except SecretFileError as error:
        raise ProvisionError(str(error)) from error
