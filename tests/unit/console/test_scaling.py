"""The page of scaling: the log, what other policies would have done, and changes by a person."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.harnesses.autoscaler_run import RecordedEvents, reading_of
from support.harnesses.sloq_loop import SloqLoop
from support.samples.recent_events import now_ns
from tidegate.autoscaler.audit.intervals import Interval
from tidegate.autoscaler.live.override import OverrideFile
from tidegate.autoscaler.types import Decision
from tidegate.console.pages import scaling
from tidegate.console.pages.overview import mark
from tidegate.settings import Settings, load
from tidegate.store.base import EventStore

ROOT = "http://127.0.0.1:8080"


@pytest.mark.usefixtures("store")
async def test_without_the_setting_no_page_changes_anything(client: httpx.AsyncClient) -> None:
    page = (await client.get("/scaling")).text
    assert "tidegate explain" in page  # nothing was decided yet
    assert "/scaling/override" not in page
    changed = await client.post("/scaling/override", headers={"Origin": ROOT})
    assert changed.status_code == 404


async def post(client: httpx.AsyncClient, body: bytes | AsyncIterator[bytes]) -> int:
    answer = await client.post("/scaling/override", content=body, headers={"Origin": ROOT})
    return answer.status_code


async def test_a_change_of_slots_is_a_change_whatever_its_reason(
    client: httpx.AsyncClient, store: EventStore, tmp_path: Path
) -> None:
    recorded = RecordedEvents(tmp_path / "recorded", clock_ns=now_ns)
    signals = reading_of(desired=2, slots_asked=2).signals
    for slots, text in ((2, "nothing is needed"), (4, "more slots until a replica is ready")):
        recorded.record("surge(sloq)", {}, signals, 0.0, Decision(2, "hold", text, {}, {}, slots))
    recorded.writer.close()
    store.append(recorded.events("decision"))
    page = (await client.get("/")).text
    assert "more slots until" in page
    assert "nothing is needed" not in page


def test_a_change_says_its_direction_by_replicas_and_then_slots(tmp_path: Path) -> None:
    recorded = RecordedEvents(tmp_path / "recorded", clock_ns=now_ns)
    signals = reading_of(desired=2, slots_asked=4).signals
    for desired, slots in ((2, 2), (2, 8), (3, 2)):
        decision = Decision(desired, "hold", f"{desired} of {slots}", {}, {}, slots)
        recorded.record("surge(sloq)", {}, signals, 0.0, decision)
    recorded.writer.close()
    found = [mark(Interval(event, event)) for event in recorded.events("decision")]
    assert {one["text"]: one["up"] for one in found} == {
        "2 of 2": False,
        "2 of 8": True,
        "3 of 2": True,
    }


async def test_it_says_that_the_first_decisions_of_a_range_are_left_out(
    client: httpx.AsyncClient,
    store: EventStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = iter(range(now_ns() - 10**11, now_ns(), 10**9))
    recorded = RecordedEvents(tmp_path / "recorded", clock_ns=lambda: next(at))
    loop = SloqLoop()
    for _ in range(4):
        seen = loop.signals
        decision = loop.tick()
        recorded.record("sloq", decision.state, seen, loop.now, decision)
    recorded.writer.close()
    store.append(recorded.events("decision"))
    assert "An estimate" in (whole := (await client.get("/scaling")).text)
    assert "decisions of the range" not in whole
    monkeypatch.setattr(scaling, "MAX_DECISIONS", 3)
    part = (await client.get("/scaling", params={"range": "5m"})).text
    assert "for the last 3 decisions of the range." in part


class TestOtherPolicy:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return load(stack={"data_dir": tmp_path}, autoscaler={"policy": "kpa"})

    async def test_the_policy_that_runs_is_not_compared_with_itself(
        self, client: httpx.AsyncClient, store: EventStore
    ) -> None:
        del store
        page = (await client.get("/scaling")).text
        assert '"other/ray-serve"' in page
        assert '"other/kpa"' not in page


class TestControl:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return load(stack={"data_dir": tmp_path}, console={"control": True})

    async def test_a_person_sets_bounds_and_ends_them_and_each_is_an_event(
        self, client: httpx.AsyncClient, settings: Settings, store: EventStore
    ) -> None:
        del store
        file = OverrideFile(settings.control_file)

        async def change(**fields: str) -> httpx.Response:
            return await client.post("/scaling/override", data=fields, headers={"Origin": ROOT})

        assert "The autoscaler:" not in (await client.get("/scaling")).text
        assert (await change(min="2", max="3", **{"for": "5m"})).status_code == 303
        override, _ = file.read(time.time())
        assert override is not None
        assert (override.min, override.max) == (2, 3)
        assert "at least 2 and at most 3" in (await client.get("/scaling")).text
        assert (await change(do="resume")).status_code == 303
        assert "The autoscaler:" not in (await client.get("/scaling")).text
        assert file.read(time.time()) == (None, "")
        refused = await change(min="99", **{"for": "5m"})
        assert (refused.status_code, file.read(time.time())[0]) == (422, None)
        # In the page, in which the fields are tried again.
        assert 'role="alert">Nothing was changed: ' in refused.text
        assert "99" in refused.text
        assert 'name="min"' in refused.text
        assert await post(client, b"for=\xff&min=1") == 422
        written = "".join(path.read_text() for path in settings.log_dir.glob("console.*.ndjson"))
        assert written.count('"action":"override"') == written.count('"action":"resume"') == 1

    async def test_a_form_says_its_length_which_has_a_limit(
        self, client: httpx.AsyncClient
    ) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"for=5m"

        assert await post(client, b"for=" + b"5" * 9_996) == 422
        assert await post(client, b"for=" + b"5" * 9_997) == 413
        assert await post(client, chunks()) == 413
