"""The key that Kibana is filled with: what is asked for, and that it is taken back.

The Elasticsearch that tests can start has nowhere to keep keys, so a stand-in gives them out here; what the
real one says to a wrong password and the like is tested in tests/integration/test_kibana_key.py.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from support.aiohttp_server import serving
from tidegate.provision.kibana.api_key import api_key
from tidegate.provision.problems import ProvisionError
from tidegate.settings import Settings

ENCODED = base64.b64encode(b"id-1:secret").decode()


@dataclass
class StandIn:
    """Elasticsearch's API for keys."""

    url: str = ""
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    taken_back: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("PUT", "/_security/api_key", self._make)
        app.router.add_route("POST", "/_security/api_key", self._make)
        app.router.add_delete("/_security/api_key", self._take_back)
        return app

    async def _make(self, request: web.Request) -> web.Response:
        self.logins.append(request.headers["Authorization"])
        self.asked.append(await request.json())
        error = {"error": {"type": "security_exception", "reason": "no"}, "status": self.status}
        made = {"id": "id-1", "name": "x", "api_key": "secret", "encoded": ENCODED}
        return self._answer(made if self.status == 200 else error)

    async def _take_back(self, request: web.Request) -> web.Response:
        self.taken_back += (await request.json())["ids"]
        return self._answer({"invalidated_api_keys": ["id-1"], "error_count": 0})

    def _answer(self, body: dict[str, Any]) -> web.Response:
        # The client refuses to talk to anything that does not call itself Elasticsearch.
        headers = {"X-Elastic-Product": "Elasticsearch"}
        return web.json_response(body, status=self.status, headers=headers)


@pytest.fixture
def elasticsearch() -> Iterator[StandIn]:
    stand_in = StandIn()
    with serving(stand_in.app()) as stand_in.url:
        yield stand_in


@pytest.fixture
def settings(elasticsearch: StandIn, tmp_path: Path) -> Settings:
    (tmp_path / "elastic").write_text("of-elastic\n")
    return Settings.model_validate(
        {
            "store": {"elasticsearch": {"url": elasticsearch.url}},
            "kibana": {"password_file": tmp_path / "elastic"},
        }
    )


def complaint(settings: Settings) -> str:
    with pytest.raises(ProvisionError) as caught, api_key(settings):
        pass
    return str(caught.value)


def test_the_key_is_good_for_the_default_space_for_ten_minutes(
    elasticsearch: StandIn, settings: Settings
) -> None:
    with api_key(settings) as key:
        assert key == ENCODED
        assert not elasticsearch.taken_back
    assert elasticsearch.taken_back == ["id-1"]
    password = base64.b64encode(b"elastic:of-elastic").decode()
    assert elasticsearch.logins == [f"Basic {password}"]
    kibana = {
        "application": "kibana-.kibana",
        "privileges": ["space_all"],
        "resources": ["space:default"],
    }
    assert elasticsearch.asked == [
        {
            "name": "tidegate-setup-kibana",
            "expiration": "10m",
            "role_descriptors": {
                "tidegate-setup-kibana": {"cluster": [], "indices": [], "applications": [kibana]}
            },
        }
    ]


def test_the_key_is_taken_back_when_the_work_fails(
    elasticsearch: StandIn, settings: Settings
) -> None:
    def work() -> None:
        with api_key(settings):
            raise ProvisionError("for some reason")

    with pytest.raises(ProvisionError, match="for some reason"):
        work()
    assert elasticsearch.taken_back == ["id-1"]


def test_a_key_that_cannot_be_taken_back_ends_by_itself(
    elasticsearch: StandIn, settings: Settings
) -> None:
    with api_key(settings) as key:
        elasticsearch.status = 503
    assert key == ENCODED


def test_an_account_that_may_make_no_key_is_told(
    elasticsearch: StandIn, settings: Settings
) -> None:
    elasticsearch.status = 403
    assert complaint(settings) == (
        f"Elasticsearch at {elasticsearch.url} lets 'elastic' (kibana.username) make no API key: "
        "it needs the cluster privilege manage_own_api_key"
    )


def test_a_certificate_file_that_cannot_be_read_is_told(
    elasticsearch: StandIn, settings: Settings, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    store = {"elasticsearch": {"url": elasticsearch.url, "ca_file": nowhere}}
    elsewhere = Settings.model_validate({"store": store, "kibana": settings.kibana})
    said = f"store.elasticsearch.ca_file: {nowhere}: No such file or directory"
    assert complaint(elsewhere) == said


def test_without_a_password_no_key_is_asked_for(elasticsearch: StandIn) -> None:
    store = {"elasticsearch": {"url": elasticsearch.url}}
    with api_key(Settings.model_validate({"store": store})) as key:
        assert key == ""
    assert not elasticsearch.asked
