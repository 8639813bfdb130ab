"""The collector as a process, sending to a stand-in of Logstash's http input, with either of them troubled.

The stand-in behaves as the real Logstash was measured to: docs/explanation/event-pipeline.md.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from support.checkout import ROOT
from support.doubles.logstash_double import PASSWORD, LogstashDouble, logstash_double
from support.eventually import eventually
from support.processes.collector_process import CollectorFolder, stop
from tidegate.events.event import Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.settings import Collector


class Workspace(CollectorFolder):
    """A collector that sends to the stand-in, with the password in this folder."""

    def __init__(self, folder: Path, double: LogstashDouble, **collector: int) -> None:
        self.double, password = double, folder / "password"
        password.write_text(PASSWORD)
        logstash = {"url": double.url, "password_file": password}
        super().__init__(
            folder, {"collector": {"sink": "logstash", "logstash": logstash, **collector}}
        )

    def numbers(self) -> list[int]:
        """The sorted numbers of the stored events."""
        stored = list(self.double.stored.values())
        requests = (one for one in stored if one["event"]["dataset"] == "tidegate.request")
        return sorted(one["tidegate"]["rows"] for one in requests)


@pytest.fixture
def double() -> Iterator[LogstashDouble]:
    with logstash_double() as made:
        yield made


@pytest.fixture
def workspace(tmp_path: Path, double: LogstashDouble) -> Iterator[Workspace]:
    made = Workspace(tmp_path, double)
    yield made
    assert "Traceback" not in made.output.read_text()


def test_a_logstash_that_is_down_full_or_silent_gets_all_events_later(
    workspace: Workspace, double: LogstashDouble
) -> None:
    writer = workspace.writer()
    process = workspace.start()
    workspace.write(writer, range(1000))
    eventually(lambda: len(workspace.numbers()) == 1000, "the first are delivered")

    double.stop()
    workspace.write(writer, range(1000, 2000))
    eventually(lambda: workspace.metric("retried_total") >= 3, "it retries")
    assert workspace.metric("sink_up") == 0
    eventually(lambda: workspace.metric("lag_seconds") > 1, "the lag grows")
    double.start()
    eventually(lambda: len(workspace.numbers()) == 2000, "they are delivered")

    double.status = 429
    before = workspace.metric("retried_total")
    workspace.write(writer, range(2000, 3000))
    eventually(lambda: workspace.metric("retried_total") >= before + 2, "it waits")
    double.status = 0
    eventually(lambda: len(workspace.numbers()) == 3000, "they are also delivered")

    double.silent = True
    workspace.write(writer, range(3000, 4000))
    eventually(lambda: len(workspace.numbers()) > 3000, "they arrive without a response")
    double.speak()
    eventually(lambda: workspace.metric("lag_bytes") == 0, "they are sent again")
    assert workspace.metric("sink_up") == 1
    assert stop(process) == 0
    assert workspace.numbers() == list(range(4000))
    assert max(double.seen.values()) > 1, "some were sent twice and stored once"
    assert workspace.output.read_text().count("the sink is unavailable, retrying") == 3
    assert workspace.output.read_text().count("the sink is available again") == 3


def test_a_full_batch_that_waits_for_logstash_stays_within_the_memory_limit_of_compose(
    tmp_path: Path, double: LogstashDouble
) -> None:
    # The chart's limit is higher. Events as a model with ten features leaves them.
    workspace = Workspace(tmp_path, double, batch_events=Collector().batch_events)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    limit = int(compose["services"]["collector"]["mem_limit"].removesuffix("m")) * 1024
    writer = workspace.writer()
    origin = Origin("flights", "1.2.3", "local", writer.node, "default")
    for number in range(5000):
        own = {f"feature_{index}": number * index / 7 for index in range(10)}
        fields = {
            "tidegate": {"rows": number},
            "http": {"request": {"method": "POST", "body": {"bytes": 300}}},
            "url": {"path": "/v1/predict"},
            "features": own,
        }
        message = f"POST /v1/predict 200 number {number}"
        writer.write(make_event(origin, "request", message, unix_ns=time.time_ns(), fields=fields))
    double.stop()
    process = workspace.start()
    eventually(lambda: workspace.metric("retried_total") >= 3, "it retries")
    double.status = 429
    double.start()
    eventually(lambda: double.requests >= 2, "it is refused, too")
    double.status = 0
    eventually(lambda: len(workspace.numbers()) == 5000, "they are delivered")
    status = Path(f"/proc/{process.pid}/status").read_text()
    most = int(status.partition("VmHWM:")[2].split()[0])
    assert most < limit, f"{most} KiB at most"
    assert stop(process) == 0


def test_an_event_that_is_longer_than_logstash_accepts_is_cut(
    tmp_path: Path, double: LogstashDouble
) -> None:
    workspace = Workspace(tmp_path, double, line_bytes=1_000_000)
    origin = Origin("flights", "1.2.3", "local", "flights-1", "default")
    event = make_event(origin, "app", "x" * 500_000, unix_ns=time.time_ns())
    with closing(
        EventWriter(workspace.settings.log_dir, "flights-1", line_bytes=1_000_000)
    ) as writer:
        writer.write(event)
    process = workspace.start()
    eventually(lambda: event["event"]["id"] in double.stored, "it is delivered")
    stored = double.stored[event["event"]["id"]]
    assert stored["tags"] == ["truncated"]
    assert len(stored["message"]) > 30_000
    assert stop(process) == 0


def test_a_stopping_collector_waits_for_its_destination_as_long_as_configured(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a pod, whose event files end with it.
    monkeypatch.setenv("TIDEGATE_COLLECTOR__LAST_PASS_SECONDS", "300")
    workspace.double.status = 503
    workspace.write(workspace.writer(), range(50))
    process = workspace.start()
    eventually(lambda: workspace.metric("retried_total") >= 1, "it tries")
    process.send_signal(signal.SIGTERM)
    eventually(
        lambda: "delivering the remaining events" in workspace.output.read_text(), "it stops"
    )
    before = workspace.double.requests
    eventually(lambda: workspace.double.requests >= before + 3, "it tries again while it stops")
    workspace.double.status = 0
    assert process.wait(timeout=120) == 0
    assert workspace.numbers() == list(range(50))
