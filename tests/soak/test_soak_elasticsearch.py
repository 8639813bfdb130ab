"""The short form of `make soak` on a real Elasticsearch that fails in each of its ways, under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from soak.injection import Injection
from soak.run import run
from soak.schedule import Fault, schedule
from soak.stacks import SOAKED
from soak.store_faults import WAYS, WithStore, behind_proxy
from support.processes.elasticsearch_server import ElasticsearchServer
from support.processes.running_stack import running

pytestmark = pytest.mark.e2e

SEED = 41
SECONDS = 2.0
RATE = 15.0


def test_a_stack_whose_elasticsearch_fails_loses_and_doubles_nothing(
    tmp_path: Path, artefact: Path, elasticsearch_server: ElasticsearchServer
) -> None:
    ways = [Fault("store", way, SECONDS) for way in WAYS]
    kill = Fault("kill", "collector")
    steps = [*schedule(SEED, ways, pairs=0), (Fault("store", "lost acknowledgement", 2), kill)]
    with (
        behind_proxy(elasticsearch_server.url, tmp_path / "certificates") as behind,
        running(tmp_path / "stack", artefact, **SOAKED, **behind.sections()) as stack,
    ):
        faults: Injection = WithStore(stack, behind=behind)
        report = run(stack, tmp_path / "load", steps, faults, rate=RATE)
        refused = behind.proxy.failed
    print("\n".join(report.lines()), refused)
    assert report.account.wrong == []
    # The faults were met.
    assert {"429", "503", "item 429", "lost acknowledgement"} <= refused.keys()
