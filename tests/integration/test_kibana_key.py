"""What a real Elasticsearch says when it is asked for the key that Kibana is filled with.

This build of it has nowhere to keep keys, so it gives none out: how a key is used and taken back is tested
with a stand-in, in tests/unit/provision/kibana/test_api_key.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.elasticsearch_server import ElasticsearchServer
from tidegate.provision.kibana import api_key as kibana_key
from tidegate.provision.kibana.api_key import api_key
from tidegate.provision.problems import ProvisionError
from tidegate.settings import Settings

pytestmark = pytest.mark.integration


def settings(url: str, password_file: Path) -> Settings:
    return Settings.model_validate(
        {
            "store": {"elasticsearch": {"url": url}},
            "kibana": {"password_file": password_file},
        }
    )


def complaint(settings: Settings) -> str:
    with pytest.raises(ProvisionError) as caught, api_key(settings):
        pass
    return str(caught.value)


def test_the_request_is_understood_up_to_where_the_key_would_be_kept(
    guarded_elasticsearch: ElasticsearchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = settings(guarded_elasticsearch.url, guarded_elasticsearch.folder / "password")
    said = complaint(known)
    assert said.startswith(f"Elasticsearch at {guarded_elasticsearch.url} makes no API key: ")
    assert "pattern_capture" in said, "what the index of keys needs and this build lacks"
    monkeypatch.setitem(kibana_key.ROLE, "indexes", [])
    assert "pattern_capture" not in complaint(known), "a role that makes no sense is seen before"


def test_a_wrong_password_is_told(
    guarded_elasticsearch: ElasticsearchServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("wrong")
    said = complaint(settings(guarded_elasticsearch.url, tmp_path / "password"))
    assert "does not let 'elastic' in: kibana.password_file does not hold its password" in said


def test_an_elasticsearch_without_security_is_told(elasticsearch_url: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("any")
    said = complaint(settings(elasticsearch_url, tmp_path / "password"))
    assert said.startswith(f"Elasticsearch at {elasticsearch_url} makes no API key: ")


def test_an_elasticsearch_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("any")
    said = complaint(settings("http://127.0.0.1:1", tmp_path / "password"))
    assert said.startswith("Elasticsearch at http://127.0.0.1:1 cannot be reached: ")
