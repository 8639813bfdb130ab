"""The temporary API key with which Kibana is set up.

The password of the superuser is sent to Elasticsearch only. Kibana receives a key that can change the objects
of its default space for ten minutes, and can neither read events nor change the cluster.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import aiohttp

from tidegate.provision.errors import ProvisionError
from tidegate.runtime.http_client import HttpClient, HttpError, tls_context
from tidegate.runtime.secret_files import SecretFileError, authorization, read_login
from tidegate.settings import Settings

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
PATH: Final = "/_security/api_key"


@asynccontextmanager
async def api_key(settings: Settings, session: aiohttp.ClientSession) -> AsyncIterator[str]:
    """An encoded API key for Kibana; empty without `kibana.password_file`. It is invalidated at the end.

    Raises:
        ProvisionError: the key cannot be created.
    """
    if settings.kibana.password_file is None:
        yield ""
        return
    client = _client(settings, session)
    created = await _create(client, settings.kibana.username)
    try:
        yield created["encoded"]
    finally:
        # If Elasticsearch is not available, the key expires after its lifetime.
        with suppress(HttpError):
            await client.json("DELETE", PATH, json={"ids": [created["id"]]})


async def _create(client: HttpClient, user: str) -> dict[str, str]:
    body = {"name": NAME, "expiration": LIFETIME, "role_descriptors": {NAME: ROLE}}
    try:
        created = await client.post(PATH, body)
        return {name: created[name] for name in ("id", "encoded")}
    except HttpError as error:
        advice = {
            401: f": kibana.password_file does not contain the password of {user!r}",
            403: f": {user!r} (kibana.username) needs the cluster privilege manage_own_api_key",
        }.get(error.status or 0, "")
        raise ProvisionError(f"no API key for Kibana was created: {error}{advice}") from error
    except (LookupError, TypeError) as error:
        raise ProvisionError(f"the response of {client.shown(PATH)} has no API key") from error


def _client(settings: Settings, session: aiohttp.ClientSession) -> HttpClient:
    server, kibana = settings.store.elasticsearch, settings.kibana
    try:
        login = read_login(kibana.username, kibana.password_file, "kibana.password_file")
        tls = tls_context(server.ca_file, "store.elasticsearch.ca_file")
    except (HttpError, SecretFileError) as error:
        raise ProvisionError(str(error)) from error
    name = "Elasticsearch"
    return HttpClient(session, server.url, authorization(login), tls, REQUEST_SECONDS, name)
