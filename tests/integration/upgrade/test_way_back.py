"""A release reads what this version has written, or says in a sentence that another version wrote it.

These are skipped where the history of the checkout does not reach the release, also in CI.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from support.releases import Checkout
from support.releases.data import ReleaseData, assert_all_once
from tidegate.events.event import Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.signing_key import prediction_key

pytestmark = pytest.mark.integration

READ_IDS = """
import json, sys
from pathlib import Path
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.signing_key import prediction_key
from tidegate.settings import load
ids = PredictionIds(prediction_key(load()), "before", b"none")
print(json.dumps([ids.read(text).value for text in sys.argv[1:]]))
"""


def write(release: ReleaseData, numbers: range) -> None:
    """Write events as an application of this version does."""
    origin = Origin("loans", "1.2.3", "local", "jobs-2", "default")
    writer = EventWriter(release.data / "logs", "jobs-2", 2**20)
    for number in numbers:
        writer.write(make_event(origin, "job", f"number {number}", unix_ns=time.time_ns()))
    writer.close()


def test_back_and_forth_every_event_is_found_once(release: ReleaseData, code: Checkout) -> None:
    for number in range(2):
        write(release, range(10 * number, 10 * number + 10))
        release.deliver()
        assert_all_once(release.stored(), release)
        write(release, range(100 + 10 * number, 110 + 10 * number))
        assert_all_once(code.delivered(release), release)
    release.deliver()
    assert_all_once(release.stored(), release)
    said = {hit["event"]["action"] for hit in release.hits("event.dataset:tidegate.collector")}
    assert said.isdisjoint({"store-damaged", "checkpoint-lost", "events-lost", "set-aside"})


def test_predictions_of_this_version_are_read(release: ReleaseData, code: Checkout) -> None:
    key = prediction_key(release.settings)
    of, ids = ("0" * 31 + "1", "0" * 15 + "2"), PredictionIds(key, "v2", b"new ")
    texts = [*ids.make(1, of, ["late"], [0.5]), *ids.make_values(1, of, [0.25], 1.0)]
    done = code.run("-c", READ_IDS, *texts, env=code.environment(release.data))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["late", 0.25]


def test_decisions_of_this_version_replay_or_are_refused_in_a_sentence(
    release: ReleaseData, code: Checkout, tmp_path: Path, recorded_now: list[bytes]
) -> None:
    file = tmp_path / "decisions.ndjson"
    file.write_bytes(b"".join(recorded_now))
    env = code.environment(release.data)
    done = code.run("-m", "tidegate", "replay", str(file), env=env)
    assert done.returncode in {0, 1, 2}
    assert "Traceback" not in done.stderr
    if done.returncode == 2:
        assert "recorded by another version" in done.stderr


@pytest.fixture
def recorded_now(tmp_path: Path) -> list[bytes]:
    """Decisions of SLOQ in this version."""
    from support.harnesses.autoscaler_run import RecordedEvents
    from tidegate.autoscaler.policy_builder import build_policy
    from tidegate.autoscaler.policy_registry import PolicyContext
    from tidegate.autoscaler.types import Bounds, Signals

    policy = build_policy("sloq", PolicyContext(Bounds(1, 5), 0.3)).policy
    events, state = RecordedEvents(tmp_path / "now", clock_ns=lambda: 10**18), dict[str, object]()
    for tick in range(5):
        signals = Signals(arrival_rate=3.0 * tick, ready=1, running=1, desired=1)
        decision = policy(state, signals, float(tick))
        events.record("sloq", state, signals, float(tick), decision)
        state = decision.state
    events.writer.close()
    return [
        line
        for file in (tmp_path / "now").rglob("*.ndjson")
        for line in file.read_bytes().splitlines(keepends=True)
    ]
