"""The API key with which Kibana is set up: its privileges and its invalidation.

The Elasticsearch of the tests cannot store API keys, so a fake issues them here; the errors of a real one
are tested in tests/integration/provision/test_kibana_key.py.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import serving
from tidegate.provision.errors import ProvisionError
from tidegate.provision.kibana.api_key import api_key
from tidegate.settings import Settings

ENCODED = base64.b64encode(b"id-1:secret").decode()


@dataclass
class FakeElasticsearch:
    """The API key endpoints of Elasticsearch."""

    url: str = ""
    status: int = 200
    created: Any = field(default_factory=lambda: {"id": "id-1", "encoded": ENCODED})
    requests: list[dict[str, Any]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    invalidated: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("POST", "/_security/api_key", self._create)
        app.router.add_delete("/_security/api_key", self._invalidate)
        return app

    async def _create(self, request: web.Request) -> web.Response:
        self.logins.append(request.headers["Authorization"])
        self.requests.append(await request.json())
        error = {"error": {"type": "security_exception", "reason": "no"}, "status": self.status}
        return self._respond(self.created if self.status == 200 else error)

    async def _invalidate(self, request: web.Request) -> web.Response:
        self.invalidated += (await request.json())["ids"]
        return self._respond({"invalidated_api_keys": ["id-1"], "error_count": 0})

    def _respond(self, body: Any) -> web.Response:
        return web.json_response(body, status=self.status)


@pytest.fixture
def elasticsearch() -> Iterator[FakeElasticsearch]:
    fake = FakeElasticsearch()
    with serving(fake.app()) as fake.url:
        yield fake


@pytest.fixture
def settings(elasticsearch: FakeElasticsearch, tmp_path: Path) -> Settings:
    (tmp_path / "elastic").write_text("of-elastic\n")
    return Settings.model_validate(
        {
            "store": {"elasticsearch": {"url": elasticsearch.url}},
            "kibana": {"password_file": tmp_path / "elastic"},
        }
    )


@asynccontextmanager
async def key_for(settings: Settings) -> AsyncIterator[str]:
    async with aiohttp.ClientSession() as session, api_key(settings, session) as key:
        yield key


async def test_the_key_is_valid_for_the_default_space_for_ten_minutes(
    elasticsearch: FakeElasticsearch, settings: Settings
) -> None:
    async with key_for(settings) as key:
        assert key == ENCODED
        assert not elasticsearch.invalidated
    assert elasticsearch.invalidated == ["id-1"]
    password = base64.b64encode(b"elastic:of-elastic").decode()
    assert elasticsearch.logins == [f"Basic {password}"]
    (request,) = elasticsearch.requests
    assert request["expiration"] == "10m"
    (role,) = request["role_descriptors"].values()
    assert (role["cluster"], role["indices"]) == ([], [])
    (kibana,) = role["applications"]
    assert (kibana["privileges"], kibana["resources"]) == (["space_all"], ["space:default"])


async def test_the_key_is_invalidated_on_an_error(
    elasticsearch: FakeElasticsearch, settings: Settings
) -> None:
    async def fail() -> None:
        async with key_for(settings):
            raise ProvisionError("for some reason")

    with pytest.raises(ProvisionError, match="for some reason"):
        await fail()
    assert elasticsearch.invalidated == ["id-1"]


@pytest.mark.parametrize("created", [{"id": "id-1"}, [], "ok"])
async def test_a_response_without_a_key_is_refused(
    elasticsearch: FakeElasticsearch, settings: Settings, created: object
) -> None:
    elasticsearch.created = created
    with pytest.raises(ProvisionError, match=r"/_security/api_key has no API key"):
        async with key_for(settings):
            pass


async def test_a_key_that_cannot_be_invalidated_expires(
    elasticsearch: FakeElasticsearch, settings: Settings
) -> None:
    async with key_for(settings) as key:
        elasticsearch.status = 503
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
    elasticsearch: FakeElasticsearch,
    settings: Settings,
    *,
    status: int,
    ca_file: str | None,
    message: str,
) -> None:
    elasticsearch.status = status
    store = {"elasticsearch": {"url": elasticsearch.url, "ca_file": ca_file}}
    changed = Settings.model_validate({"store": store, "kibana": settings.kibana})
    with pytest.raises(ProvisionError, match=message):
        async with key_for(changed):
            pass


async def test_without_a_password_no_key_is_requested(elasticsearch: FakeElasticsearch) -> None:
    store = {"elasticsearch": {"url": elasticsearch.url}}
    async with key_for(Settings.model_validate({"store": store})) as key:
        assert key == ""
    assert not elasticsearch.requests
