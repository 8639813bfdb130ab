"""The temporary API key with which Kibana is set up.

The password of the superuser is sent to Elasticsearch only. Kibana receives a key that can change the objects
of its default space for ten minutes, and can neither read events nor change the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from elasticsearch import (
    ApiError,
    AuthenticationException,
    AuthorizationException,
    Elasticsearch,
    TransportError,
)

from tidegate.provision.elasticsearch.server import transport_reason
from tidegate.provision.errors import ProvisionError
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.secret_files import SecretFileError, read_login
from tidegate.settings import Settings
from tidegate.store.elasticsearch import responses
from tidegate.store.elasticsearch.authorities import authority_options

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
    """An encoded API key for Kibana; empty without `kibana.password_file`. It is invalidated at the end.

    Raises:
        ProvisionError: the key cannot be created.
    """
    if settings.kibana.password_file is None:
        yield ""
        return
    with _client(settings) as client:
        key_id, encoded = _create(client, settings)
        try:
            yield encoded
        finally:
            # If Elasticsearch is not available, the key expires after its lifetime.
            with suppress(ApiError, TransportError):
                client.security.invalidate_api_key(ids=[key_id])


def _create(client: Elasticsearch, settings: Settings) -> tuple[str, str]:
    url, user = settings.store.elasticsearch.url, settings.kibana.username
    try:
        created = client.security.create_api_key(
            name=NAME, expiration=LIFETIME, role_descriptors={NAME: ROLE}
        )
    except AuthenticationException as error:
        raise ProvisionError(
            f"Elasticsearch at {url} refuses the login of {user!r}: kibana.password_file does not contain "
            "its password"
        ) from error
    except AuthorizationException as error:
        raise ProvisionError(
            f"Elasticsearch at {url} does not allow {user!r} (kibana.username) to create an API key: it "
            "needs the cluster privilege manage_own_api_key"
        ) from error
    except ApiError as error:
        raise ProvisionError(
            f"Elasticsearch at {url} created no API key: {responses.reason(error)}"
        ) from error
    except TransportError as error:
        raise ProvisionError(
            f"Elasticsearch at {url} cannot be reached: {transport_reason(error)}"
        ) from error
    return created["id"], created["encoded"]


def _client(settings: Settings) -> Elasticsearch:
    server, kibana = settings.store.elasticsearch, settings.kibana
    try:
        login = read_login(kibana.username, kibana.password_file, "kibana.password_file")
        authorities = authority_options(server)
    except (HttpError, SecretFileError) as error:
        raise ProvisionError(str(error)) from error
    return Elasticsearch(
        server.url,
        basic_auth=login,
        request_timeout=REQUEST_SECONDS,
        max_retries=0,
        **authorities,
    )
