"""Waiting for Elasticsearch: the conditions, the timeouts and the reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certifi
import pytest

from support.doubles.recorded_elasticsearch import RecordedElasticsearch
from tidegate.provision.elasticsearch.server import connect
from tidegate.provision.elasticsearch.setup import wait
from tidegate.provision.errors import ProvisionError
from tidegate.settings import Settings, load

HEALTH = "GET /_cluster/health"
GREEN = {"status": "green", "unassigned_primary_shards": 0, "initializing_shards": 0}
RED = {"status": "red", "unassigned_primary_shards": 2, "initializing_shards": 1}
REFUSED = (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}})
NOWHERE = "http://127.0.0.1:9"


def waited(settings: Settings) -> tuple[str, list[str], float]:
    """The error, the reports before it, and the seconds of waiting, which do not really pass."""
    error, reports, slept = "", list[str](), list[float]()
    with connect(settings) as client:
        try:
            wait(client, settings, reports.append, now=lambda: sum(slept), sleep=slept.append)
        except ProvisionError as raised:
            error = str(raised)
    return error, reports, sum(slept)


@pytest.mark.parametrize("status", ["green", "yellow"])
def test_a_healthy_server_is_not_waited_for(
    recorded: RecordedElasticsearch, settings: Settings, status: str
) -> None:
    recorded.responses[HEALTH] = {**GREEN, "status": status}
    assert waited(settings) == ("", [], 0)


def test_a_starting_server_is_waited_for_and_each_change_is_reported_once(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    starting = (503, {"error": {"type": "master_not_discovered_exception", "reason": None}})
    recorded.responses[HEALTH] = [starting, starting, REFUSED, RED, RED, GREEN]
    error, reports, seconds = waited(settings)
    assert (error, seconds) == ("", 5)
    begins = [f"waiting, {after} s: Elasticsearch" for after in (0, 2, 3)]
    assert [line.split(" at ")[0] for line in reports] == begins
    assert "responds with 503: master_not_discovered_exception" in reports[0]
    assert "refuses elastic with 401" in reports[1]
    assert "is red, 3 of its primary shards are not available" in reports[2]


def test_a_red_server_is_reported_every_15_s_until_the_timeout(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    recorded.responses[HEALTH] = RED
    sentence, reports, _ = waited(settings)
    assert [line.split(" s: ")[0] for line in reports] == [
        f"waiting, {seconds}" for seconds in (0, 15, 30, 45)
    ]
    assert sentence == (
        f"Elasticsearch at {recorded.url} is red, 3 of its primary shards are not available:"
        " `GET _cluster/allocation/explain` gives the reason (waited 60 s)"
    )


def test_a_wrong_password_fails_after_20_s(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    recorded.responses[HEALTH] = REFUSED
    sentence, reports, _ = waited(settings)
    file = settings.provision.secrets_dir / "elastic"
    assert f"refuses elastic with 401: the password in {file} is not the password" in sentence
    assert sentence.endswith("(waited 20 s)")
    assert len(reports) == 2


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (
            (400, {"error": {"type": "media_type_header_exception", "reason": "Invalid"}}),
            "is older than 9, but this stack needs 9.2 or a later 9",
        ),
        ((404, {"error": "nothing here"}), "responds with 404: nothing here"),
    ],
)
def test_a_permanent_problem_fails_at_once(
    recorded: RecordedElasticsearch, settings: Settings, response: Any, sentence: str
) -> None:
    recorded.responses[HEALTH] = response
    assert waited(settings) == (f"Elasticsearch at {recorded.url} {sentence}", [], 0)


def test_an_unreachable_server_has_the_reason_of_the_operating_system(tmp_path: Path) -> None:
    (tmp_path / "elastic").write_text("bootstrap-password")
    nowhere = load(
        store={"elasticsearch": {"url": NOWHERE}},
        provision={"secrets_dir": tmp_path, "start_seconds": 2},
    )
    sentence, reports, _ = waited(nowhere)
    text = f"Elasticsearch at {NOWHERE} cannot be reached: Connection refused"
    assert reports == [f"waiting, 0 s: {text}"]
    assert sentence == f"{text} (waited 2 s)"


def test_a_server_without_tls_at_an_https_url_fails_at_once(
    recorded: RecordedElasticsearch, settings: Settings
) -> None:
    where = {"url": recorded.url.replace("http:", "https:"), "ca_file": certifi.where()}
    secure = load(store={"elasticsearch": where}, provision=settings.provision)
    sentence, reports, _ = waited(secure)
    assert "TLS fails: " in sentence
    assert reports == []
