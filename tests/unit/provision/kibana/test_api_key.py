"""The API key with which Kibana is set up: its privileges and its invalidation.

The Elasticsearch of the tests cannot store API keys, so a fake issues them here; the errors of a real one
are tested in tests/integration/provision/test_kibana_key.py.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    requests: list[dict[str, Any]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    invalidated: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("PUT", "/_security/api_key", self._create)
        app.router.add_route("POST", "/_security/api_key", self._create)
        app.router.add_delete("/_security/api_key", self._invalidate)
        return app

    async def _create(self, request: web.Request) -> web.Response:
        self.logins.append(request.headers["Authorization"])
        self.requests.append(await request.json())
        error = {"error": {"type": "security_exception", "reason": "no"}, "status": self.status}
        created = {"id": "id-1", "name": "x", "api_key": "secret", "encoded": ENCODED}
        return self._respond(created if self.status == 200 else error)

    async def _invalidate(self, request: web.Request) -> web.Response:
        self.invalidated += (await request.json())["ids"]
        return self._respond({"invalidated_api_keys": ["id-1"], "error_count": 0})

    def _respond(self, body: dict[str, Any]) -> web.Response:
        # The client refuses servers without this header.
        headers = {"X-Elastic-Product": "Elasticsearch"}
        return web.json_response(body, status=self.status, headers=headers)


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


def error_of(settings: Settings) -> str:
    with pytest.raises(ProvisionError) as caught, api_key(settings):
        pass
    return str(caught.value)


def test_the_key_is_valid_for_the_default_space_for_ten_minutes(
    elasticsearch: FakeElasticsearch, settings: Settings
) -> None:
    with api_key(settings) as key:
        assert key == ENCODED
        assert not elasticsearch.invalidated
    assert elasticsearch.invalidated == ["id-1"]
    password = base64.b64encode(b"elastic:of-elastic").decode()
    assert elasticsearch.logins == [f"Basic {password}"]
    kibana = {
        "application": "kibana-.kibana",
        "privileges": ["space_all"],
        "resources": ["space:default"],
    }
    assert elasticsearch.requests == [
        {
            "name": "tidegate-setup-kibana",
            "expiration": "10m",
            "role_descriptors": {
                "tidegate-setup-kibana": {"cluster": [], "indices": [], "applications": [kibana]}
            },
        }
    ]


def test_the_key_is_invalidated_on_an_error(
    elasticsearch: FakeElasticsearch, settings: Settings
) -> None:
    def fail() -> None:
        with api_key(settings):
            raise ProvisionError("for some reason")

    with pytest.raises(ProvisionError, match="for some reason"):
        fail()
    assert elasticsearch.invalidated == ["id-1"]


def test_a_key_that_cannot_be_invalidated_expires(
    elasticsearch: FakeElasticsearch, settings: Settings
) -> None:
    with api_key(settings) as key:
        elasticsearch.status = 503
    assert key == ENCODED


def test_a_missing_privilege_is_reported(
    elasticsearch: FakeElasticsearch, settings: Settings
) -> None:
    elasticsearch.status = 403
    assert error_of(settings) == (
        f"Elasticsearch at {elasticsearch.url} does not allow 'elastic' (kibana.username) to create an "
        "API key: it needs the cluster privilege manage_own_api_key"
    )


def test_a_certificate_file_that_cannot_be_read_is_reported(
    elasticsearch: FakeElasticsearch, settings: Settings, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    store = {"elasticsearch": {"url": elasticsearch.url, "ca_file": nowhere}}
    elsewhere = Settings.model_validate({"store": store, "kibana": settings.kibana})
    message = f"store.elasticsearch.ca_file: {nowhere}: No such file or directory"
    assert error_of(elsewhere) == message


def test_without_a_password_no_key_is_requested(elasticsearch: FakeElasticsearch) -> None:
    store = {"elasticsearch": {"url": elasticsearch.url}}
    with api_key(Settings.model_validate({"store": store})) as key:
        assert key == ""
    assert not elasticsearch.requests
