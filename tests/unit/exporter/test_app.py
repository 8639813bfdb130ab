"""The exporter's HTTP server, with backends that behave and backends that do not."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.exporter.app import Exporter
from tidegate.exporter.backend import BackendError
from tidegate.runtime.event_log import EventLog, Terminal

ORIGIN = Origin("flights", "1.2.3", "local", "exporter", "default")


@dataclass
class Peer:
    """A backend that answers, fails or says nothing."""

    name: str
    trouble: str = ""
    silent: bool = False

    async def read(self) -> list[Metric]:
        if self.silent:
            await asyncio.Event().wait()
        if self.trouble:
            raise BackendError(self.trouble)
        return [GaugeMetricFamily(f"of_{self.name}", "", 7)]

    async def close(self) -> None:
        pass


@dataclass
class Shop:
    folder: Path
    writer: EventWriter
    terminal: io.StringIO = field(default_factory=io.StringIO)

    @asynccontextmanager
    async def serving(self, backends: Sequence[Peer] = ()) -> AsyncIterator[Any]:
        event_log = EventLog(self.writer, ORIGIN, listeners=[Terminal(self.terminal)])
        exporter = Exporter(backends, 0.05, self.writer, ORIGIN, event_log)
        async with TestClient(TestServer(exporter.make_app())) as client:
            yield client

    def events(self) -> list[dict[str, Any]]:
        lines = [line for path in self.folder.iterdir() for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, EventWriter(tmp_path, "exporter"))


async def scrape(client: Any) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status == 200
    families = text_string_to_metric_families(await answer.text())
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


async def test_a_peer_that_fails_or_says_nothing_holds_up_no_other(shop: Shop) -> None:
    logstash, elasticsearch = Peer("logstash"), Peer("elasticsearch")
    async with shop.serving([logstash, elasticsearch]) as client:
        found = await scrape(client)
        assert found["of_logstash"] == found["of_elasticsearch"] == 7
        assert found["tidegate_logstash_up"] == found["tidegate_elasticsearch_up"] == 1

        logstash.silent, elasticsearch.trouble = True, "lets nobody in"
        for _ in range(3):
            found = await scrape(client)
            assert (found["tidegate_logstash_up"], found["tidegate_elasticsearch_up"]) == (0, 0)
            assert "of_logstash" not in found

        logstash.silent = False
        found = await scrape(client)
        assert (found["tidegate_logstash_up"], found["tidegate_elasticsearch_up"]) == (1, 0)
    assert sorted((event["log"]["level"], event["message"]) for event in shop.events()) == [
        ("info", "logstash: answers again"),
        ("warn", "elasticsearch: lets nobody in"),
        ("warn", "logstash: gives no answer within 0.05 s"),
    ]
    assert shop.terminal.getvalue().count(" warn exporter: elasticsearch: lets nobody in\n") == 1


async def test_without_peers_there_are_its_own_metrics_only(shop: Shop) -> None:
    async with shop.serving() as client:
        found = await scrape(client)
        assert found["tidegate_exporter_alerts_totalfiring"] == 0
        assert not [name for name in found if "logstash" in name or "elasticsearch" in name]
        assert await (await client.get("/live")).text() == "ok\n"


async def test_each_alert_becomes_a_line_and_is_counted(
    shop: Shop, notification: dict[str, Any]
) -> None:
    fired = notification["alerts"][0]
    over = {**fired, "status": "resolved", "endsAt": "2026-03-01T11:00:00Z"}
    notification["alerts"] = [fired, over]
    async with shop.serving() as client:
        answer = await client.post("/alerts", json=notification)
        assert (answer.status, await answer.json()) == (200, {"events": 2})
        found = await scrape(client)
    assert [event["event"]["action"] for event in shop.events()] == ["firing", "resolved"]
    assert found["tidegate_exporter_alerts_totalfiring"] == 1
    assert found["tidegate_exporter_alerts_totalresolved"] == 1


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": "3"}, "version: Input should be '4'"),
        ({"alerts": None}, "alerts: Input should be a valid"),
        ({"alerts": [{"status": "firing"}]}, "alerts.0.labels: Field required"),
        ({"alerts": [{"status": "odd"}]}, "alerts.0.status: Input should be 'firing' or"),
    ],
)
async def test_a_bad_body_is_refused_with_the_field(
    shop: Shop, notification: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    async with shop.serving() as client:
        answer = await client.post("/alerts", json={**notification, **change})
        assert answer.status == 400
        assert told in (await answer.json())["error"]
    assert list(shop.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"startsAt": "yesterday"}, "alerts.0.startsAt: "),
        ({"startsAt": "2026-03-01T10:00:00"}, "alerts.0.startsAt: Input should have timezone"),
        ({"labels": {"a": 1}}, "alerts.0.labels.a: Input should be a valid string"),
        ({"fingerprint": ""}, "alerts.0.fingerprint: String should have at least"),
    ],
)
async def test_a_bad_alert_is_refused_with_its_field(
    shop: Shop, notification: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    notification["alerts"][0] |= change
    async with shop.serving() as client:
        answer = await client.post("/alerts", json=notification)
        assert answer.status == 400
        assert told in (await answer.json())["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(shop: Shop, body: bytes) -> None:
    async with shop.serving() as client:
        answer = await client.post("/alerts", data=body)
        assert answer.status == 400
        assert (await answer.json())["error"].startswith("body: ")


async def test_an_enormous_body_is_refused(shop: Shop) -> None:
    async with shop.serving() as client:
        assert (await client.post("/alerts", data=io.BytesIO(b" " * 5_000_000))).status == 413


async def test_a_full_disk_makes_alertmanager_send_it_again(
    shop: Shop, notification: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        shop.writer.lost += 1

    async with shop.serving() as client:
        monkeypatch.setattr(EventWriter, "write_line", lambda _, line: full(line))
        answer = await client.post("/alerts", json=notification)
        assert answer.status == 503
        monkeypatch.undo()
        assert (await client.post("/alerts", json=notification)).status == 200
    assert len(shop.events()) == 1
