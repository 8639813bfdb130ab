"""The exporter's HTTP server, with backends that respond, fail or hang."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from support.harnesses.event_files import events_in
from support.samples.alertmanager import alert, notification
from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.exporter.app import Exporter
from tidegate.exporter.backend import Backend
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.runtime.http_client import HttpError

ORIGIN = Origin("flights", "1.2.3", "local", "exporter", "default")


@dataclass
class FakeBackend:
    """A backend that responds, fails or hangs."""

    name: str
    error: str = ""
    hangs: bool = False

    def up(self, value: float) -> Metric:
        return GaugeMetricFamily(f"tidegate_{self.name}_up", "", value)

    async def read(self) -> list[Metric]:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise HttpError(self.error)
        return [GaugeMetricFamily(f"of_{self.name}", "", 7)]


@dataclass
class ExporterFixture:
    """An exporter, its event files and its terminal."""

    folder: Path
    writer: EventWriter
    terminal: io.StringIO = field(default_factory=io.StringIO)

    @asynccontextmanager
    async def serving(self, backends: Sequence[FakeBackend] = ()) -> AsyncIterator[Any]:
        event_log = EventLog(self.writer, ORIGIN, listeners=[Terminal(self.terminal)])
        made = [Backend(one.name, one.up, one.read) for one in backends]
        exporter = Exporter(made, 0.05, self.writer, ORIGIN, event_log)
        async with TestClient(TestServer(exporter.make_app())) as client:
            yield client

    def events(self) -> list[dict[str, Any]]:
        return events_in(self.folder)


@pytest.fixture
def exporter(tmp_path: Path) -> ExporterFixture:
    return ExporterFixture(tmp_path, EventWriter(tmp_path, "exporter"))


async def scrape(client: Any) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status == 200
    families = text_string_to_metric_families(await answer.text())
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


async def test_a_backend_that_fails_or_hangs_does_not_delay_the_others(
    exporter: ExporterFixture,
) -> None:
    logstash, elasticsearch = FakeBackend("logstash"), FakeBackend("elasticsearch")
    async with exporter.serving([logstash, elasticsearch]) as client:
        found = await scrape(client)
        assert found["of_logstash"] == found["of_elasticsearch"] == 7
        assert found["tidegate_logstash_up"] == found["tidegate_elasticsearch_up"] == 1

        logstash.hangs, elasticsearch.error = True, "refuses the login"
        for _ in range(3):
            found = await scrape(client)
            assert (found["tidegate_logstash_up"], found["tidegate_elasticsearch_up"]) == (0, 0)
            assert "of_logstash" not in found

        logstash.hangs = False
        found = await scrape(client)
        assert (found["tidegate_logstash_up"], found["tidegate_elasticsearch_up"]) == (1, 0)
    assert sorted((event["log"]["level"], event["message"]) for event in exporter.events()) == [
        ("info", "logstash: available again"),
        ("warn", "elasticsearch: refuses the login"),
        ("warn", "logstash: no response within 0.05 s"),
    ]
    assert (
        exporter.terminal.getvalue().count(" warn exporter: elasticsearch: refuses the login\n")
        == 1
    )


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({**notification(), "version": "3"}, "version: Input should be '4'"),
        ({**notification(), "alerts": None}, "alerts: Input should be a valid"),
        (notification({"status": "firing"}), "alerts.0.labels: Field required"),
        (notification(alert(status="odd")), "alerts.0.status: Input should be 'firing' or"),
        (
            notification(alert(startsAt="2026-03-01T10:00:00")),
            "alerts.0.startsAt: Input should have",
        ),
        (notification(alert(labels={"a": 1})), "alerts.0.labels.a: Input should be a valid string"),
        (notification(alert(fingerprint="")), "alerts.0.fingerprint: String should have at least"),
    ],
)
async def test_a_bad_notification_is_refused_with_the_field(
    exporter: ExporterFixture, sent: dict[str, Any], error: str
) -> None:
    async with exporter.serving() as client:
        answer = await client.post("/alerts", json=sent)
        assert answer.status == 400
        assert error in (await answer.json())["error"]
    assert list(exporter.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"[]", 400), (b"\xff", 400), (b" " * 5_000_000, 413)]
)
async def test_a_body_that_is_no_notification_is_refused(
    exporter: ExporterFixture, body: bytes, status: int
) -> None:
    async with exporter.serving() as client:
        answer = await client.post("/alerts", data=io.BytesIO(body))
        assert answer.status == status
        assert status == 413 or (await answer.json())["error"].startswith("body: ")


async def test_a_full_disk_makes_alertmanager_repeat_the_notification(
    exporter: ExporterFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(writer: EventWriter, _: bytes) -> None:
        writer.lost += 1

    async with exporter.serving() as client:
        with monkeypatch.context() as patched:
            patched.setattr(EventWriter, "write_line", full)
            assert (await client.post("/alerts", json=notification())).status == 503
        assert (await client.post("/alerts", json=notification())).status == 200
    assert len(exporter.events()) == 1


async def test_without_backends_there_are_only_its_own_metrics(exporter: ExporterFixture) -> None:
    async with exporter.serving() as client:
        found = await scrape(client)
        assert found["tidegate_exporter_alerts_totalfiring"] == 0
        assert not [name for name in found if "logstash" in name or "elasticsearch" in name]
        assert await (await client.get("/live")).text() == "ok\n"
