"""The errors of a real Elasticsearch at the creation of the API key for Kibana.

This build cannot store API keys: the use of a key and its invalidation are tested with a fake in
tests/unit/provision/kibana/test_api_key.py.
"""

from __future__ import annotations

from pathlib import Path

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


def error_of(settings: Settings) -> str:
    with pytest.raises(ProvisionError) as caught, api_key(settings):
        pass
    return str(caught.value)


def test_the_request_is_valid_but_this_build_cannot_store_the_key(
    guarded_elasticsearch: ElasticsearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_password = settings(guarded_elasticsearch.url, guarded_elasticsearch.folder / "password")
    error = error_of(with_password)
    assert error.startswith(f"Elasticsearch at {guarded_elasticsearch.url} created no API key: ")
    assert "pattern_capture" in error, "the index of keys needs it, but this build lacks it"
    monkeypatch.setitem(kibana_key.ROLE, "indexes", [])
    assert "pattern_capture" not in error_of(with_password), "an invalid role is refused earlier"


def test_a_wrong_password_is_reported(
    guarded_elasticsearch: ElasticsearchServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("wrong")
    error = error_of(settings(guarded_elasticsearch.url, tmp_path / "password"))
    assert (
        "refuses the login of 'elastic': kibana.password_file does not contain its password"
        in error
    )


def test_an_elasticsearch_without_security_is_reported(
    elasticsearch_url: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("any")
    error = error_of(settings(elasticsearch_url, tmp_path / "password"))
    assert error.startswith(f"Elasticsearch at {elasticsearch_url} created no API key: ")


def test_an_unreachable_elasticsearch_is_reported(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("any")
    error = error_of(settings("http://127.0.0.1:1", tmp_path / "password"))
    assert error.startswith("Elasticsearch at http://127.0.0.1:1 cannot be reached: ")
