"""The errors of a real Elasticsearch at the creation of the API key for Kibana.

This build cannot store API keys: the use of a key and its invalidation are tested with a fake in
tests/unit/provision/kibana/test_api_key.py.
"""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from support.processes.elasticsearch_server import ElasticsearchServer
from tidegate.provision.errors import ProvisionError
from tidegate.provision.kibana import api_key as kibana_key
from tidegate.provision.kibana.api_key import api_key
from tidegate.settings import Settings

pytestmark = pytest.mark.integration


def settings(url: str, password_file: Path) -> Settings:
    return Settings.model_validate(
        {
            "store": {"elasticsearch": {"url": url}},
            "kibana": {"password_file": password_file},
        }
    )


async def error_of(settings: Settings) -> str:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ProvisionError) as caught:
            async with api_key(settings, session):
                pass
    return str(caught.value)


async def test_the_request_is_valid_but_this_build_cannot_store_the_key(
    guarded_elasticsearch: ElasticsearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_password = settings(guarded_elasticsearch.url, guarded_elasticsearch.folder / "password")
    error = await error_of(with_password)
    assert error.startswith("no API key for Kibana was created: ")
    assert "pattern_capture" in error, "the index of keys needs it, but this build lacks it"
    monkeypatch.setitem(kibana_key.ROLE, "indexes", [])
    assert "pattern_capture" not in await error_of(with_password), "an invalid role is refused"


async def test_a_wrong_password_is_reported(
    guarded_elasticsearch: ElasticsearchServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("wrong")
    error = await error_of(settings(guarded_elasticsearch.url, tmp_path / "password"))
    assert error.endswith("kibana.password_file does not contain the password of 'elastic'")


async def test_an_elasticsearch_that_gives_no_keys_is_reported_with_its_url(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("any")
    for url, why in ((elasticsearch_url, "responded with"), ("http://127.0.0.1:1", "cannot be")):
        error = await error_of(settings(url, tmp_path / "password"))
        assert f"Elasticsearch at {url}/_security/api_key {why}" in error
