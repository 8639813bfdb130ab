"""Waiting for Elasticsearch: what is waited for, how long, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certifi
import pytest

from support.recorded_requests import Recorded
from tidegate.provision.elasticsearch.server import connected
from tidegate.provision.elasticsearch.wait import wait
from tidegate.provision.problems import ProvisionError
from tidegate.settings import Settings, load

HEALTH = "GET /_cluster/health"
GREEN = {"status": "green", "unassigned_primary_shards": 0, "initializing_shards": 0}
RED = {"status": "red", "unassigned_primary_shards": 2, "initializing_shards": 1}
REFUSED = (401, {"error": {"type": "security_exception", "reason": "unable to authenticate"}})
NOWHERE = "http://127.0.0.1:9"


class Clock:
    """Time that passes by waiting."""

    def __init__(self) -> None:
        self.moment = 1000.0

    def now(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.moment += seconds


def waited(settings: Settings) -> tuple[list[str], float]:
    """What was said, and for how long it waited."""
    clock = Clock()
    said: list[str] = []
    with connected(settings) as client:
        wait(client, settings, said.append, now=clock.now, sleep=clock.sleep)
    return said, clock.moment - 1000.0


def stopped(settings: Settings) -> tuple[str, list[str]]:
    """The sentence it stopped with, and what was said before."""
    clock = Clock()
    said: list[str] = []
    with (
        connected(settings) as client,
        pytest.raises(ProvisionError) as caught,
    ):
        wait(client, settings, said.append, now=clock.now, sleep=clock.sleep)
    return str(caught.value), said


@pytest.mark.parametrize("status", ["green", "yellow"])
def test_a_healthy_one_is_not_waited_for(
    recorded: Recorded, settings: Settings, status: str
) -> None:
    recorded.answers[HEALTH] = {**GREEN, "status": status}
    assert waited(settings) == ([], 0)


def test_what_comes_up_is_waited_for_and_each_change_is_told_once(
    recorded: Recorded, settings: Settings
) -> None:
    starting = (503, {"error": {"type": "master_not_discovered_exception", "reason": None}})
    recorded.answers[HEALTH] = [starting, starting, REFUSED, RED, RED, GREEN]
    said, seconds = waited(settings)
    assert seconds == 5
    assert [line.split(" at ")[0] for line in said] == [
        "waiting, 0 s: Elasticsearch",
        "waiting, 2 s: Elasticsearch",
        "waiting, 3 s: Elasticsearch",
    ]
    assert "answers 503: master_not_discovered_exception" in said[0]
    assert "refuses elastic with 401" in said[1]
    assert "is red, 3 of its primary shards are not there" in said[2]


def test_one_that_stays_red_is_told_again_each_15_s_and_given_up_in_the_end(
    recorded: Recorded, settings: Settings
) -> None:
    recorded.answers[HEALTH] = RED
    sentence, said = stopped(settings)
    assert [line.split(" s: ")[0] for line in said] == [
        f"waiting, {seconds}" for seconds in (0, 15, 30, 45)
    ]
    assert sentence == (
        f"Elasticsearch at {recorded.url} is red, 3 of its primary shards are not there:"
        " `GET _cluster/allocation/explain` says why (waited 60 s)"
    )


def test_a_wrong_password_is_given_up_after_20_s(recorded: Recorded, settings: Settings) -> None:
    recorded.answers[HEALTH] = REFUSED
    sentence, said = stopped(settings)
    file = settings.provision.secrets_dir / "elastic"
    assert f"refuses elastic with 401: the password in {file} is not the one" in sentence
    assert sentence.endswith("(waited 20 s)")
    assert len(said) == 2


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            (400, {"error": {"type": "media_type_header_exception", "reason": "Invalid"}}),
            "is older than 9, and this stack needs 9.2 or a later 9",
        ),
        ((404, {"error": "nothing here"}), "answers 404: nothing here"),
    ],
)
def test_what_will_never_do_is_not_waited_for(
    recorded: Recorded, settings: Settings, answer: Any, sentence: str
) -> None:
    recorded.answers[HEALTH] = answer
    assert stopped(settings) == (f"Elasticsearch at {recorded.url} {sentence}", [])


def test_one_that_is_not_there_is_named_in_the_systems_own_words(tmp_path: Path) -> None:
    (tmp_path / "elastic").write_text("bootstrap-password")
    nowhere = load(
        store={"elasticsearch": {"url": NOWHERE}},
        provision={"secrets_dir": tmp_path, "start_seconds": 2},
    )
    sentence, said = stopped(nowhere)
    text = f"Elasticsearch at {NOWHERE} cannot be reached: Connection refused"
    assert said == [f"waiting, 0 s: {text}"]
    assert sentence == f"{text} (waited 2 s)"


def test_a_server_without_tls_behind_https_is_named_at_once(
    recorded: Recorded, settings: Settings
) -> None:
    where = {"url": recorded.url.replace("http:", "https:"), "ca_file": certifi.where()}
    secure = load(store={"elasticsearch": where}, provision=settings.provision)
    sentence, said = stopped(secure)
    assert "TLS fails: " in sentence
    assert said == []
