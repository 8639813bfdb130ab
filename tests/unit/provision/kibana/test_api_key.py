"""The API key with which Kibana is set up: its privileges and its invalidation.

The Elasticsearch of the tests cannot store API keys, so the responses are recorded ones; the errors of a real
one are tested in tests/integration/provision/test_kibana_key.py.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.doubles.recorded_elasticsearch import RecordedElasticsearch
from tidegate.provision.errors import ProvisionError
from tidegate.provision.kibana.api_key import api_key
from tidegate.settings import Settings

ENCODED = base64.b64encode(b"id-1:secret").decode()
PATH = "/_security/api_key"
INVALIDATED = (f"DELETE {PATH}", {"ids": ["id-1"]})


@pytest.fixture
def elasticsearch(recorded: RecordedElasticsearch) -> RecordedElasticsearch:
    recorded.responses = {
        f"POST {PATH}": {"id": "id-1", "encoded": ENCODED},
        f"DELETE {PATH}": {"invalidated_api_keys": ["id-1"], "error_count": 0},
    }
    return recorded


@pytest.fixture
def settings(elasticsearch: RecordedElasticsearch, tmp_path: Path) -> Settings:
    (tmp_path / "elastic").write_text("of-elastic\n")
    return settings_of(elasticsearch, password_file=tmp_path / "elastic")


def settings_of(server: RecordedElasticsearch, ca_file: object = None, **kibana: Any) -> Settings:
    store = {"elasticsearch": {"url": server.url, "ca_file": ca_file}}
    return Settings.model_validate({"store": store, "kibana": kibana})


@asynccontextmanager
async def key_for(settings: Settings) -> AsyncIterator[str]:
    async with aiohttp.ClientSession() as session, api_key(settings, session) as key:
        yield key


async def test_the_key_is_valid_for_the_default_space_for_ten_minutes(
    elasticsearch: RecordedElasticsearch, settings: Settings
) -> None:
    async with key_for(settings) as key:
        assert key == ENCODED
        ((_, request),) = elasticsearch.requests
    assert elasticsearch.requests[1:] == [INVALIDATED]
    password = base64.b64encode(b"elastic:of-elastic").decode()
    assert set(elasticsearch.logins) == {f"Basic {password}"}
    assert request["expiration"] == "10m"
    (role,) = request["role_descriptors"].values()
    assert (role["cluster"], role["indices"]) == ([], [])
    (kibana,) = role["applications"]
    assert (kibana["privileges"], kibana["resources"]) == (["space_all"], ["space:default"])


async def test_the_key_is_invalidated_on_an_error(
    elasticsearch: RecordedElasticsearch, settings: Settings
) -> None:
    with pytest.raises(ProvisionError, match="for some reason"):
        async with key_for(settings):
            raise ProvisionError("for some reason")
    assert elasticsearch.requests[1:] == [INVALIDATED]


@pytest.mark.parametrize("created", [{"id": "id-1"}, [], "ok"])
async def test_a_response_without_a_key_is_refused(
    elasticsearch: RecordedElasticsearch, settings: Settings, created: object
) -> None:
    elasticsearch.responses[f"POST {PATH}"] = (200, created)
    with pytest.raises(ProvisionError, match=r"/_security/api_key has no API key"):
        async with key_for(settings):
            pass


async def test_a_key_that_cannot_be_invalidated_expires(
    elasticsearch: RecordedElasticsearch, settings: Settings
) -> None:
    async with key_for(settings) as key:
        elasticsearch.responses[f"DELETE {PATH}"] = (503, {})
    assert key == ENCODED


@pytest.mark.parametrize(
    ("status", "ca_file", "message"),
    [
        (401, None, "kibana.password_file does not contain the password of 'elastic'"),
        (403, None, "'elastic' .kibana.username. needs the cluster privilege manage_own_api_key"),
        (200, "/nowhere", "store.elasticsearch.ca_file: /nowhere: No such file or directory"),
    ],
)
async def test_why_there_is_no_key_is_reported(
    elasticsearch: RecordedElasticsearch,
    settings: Settings,
    *,
    status: int,
    ca_file: str | None,
    message: str,
) -> None:
    error = {"type": "security_exception", "reason": "no"}
    elasticsearch.responses[f"POST {PATH}"] = (status, {"error": error, "status": status})
    password_file = settings.kibana.password_file
    changed = settings_of(elasticsearch, ca_file, password_file=password_file)
    with pytest.raises(ProvisionError, match=message):
        async with key_for(changed):
            pass


async def test_without_a_password_no_key_is_requested(elasticsearch: RecordedElasticsearch) -> None:
    async with key_for(settings_of(elasticsearch)) as key:
        assert key == ""
    assert elasticsearch.requests == []
