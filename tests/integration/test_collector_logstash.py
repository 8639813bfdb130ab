"""The collector as a process, sending to a stand-in of Logstash's http input, with either of them troubled.

The stand-in behaves as the real Logstash was measured to: docs/explanation/event-pipeline.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.doubles.logstash_double import PASSWORD, LogstashDouble, logstash_double
from support.eventually import eventually
from support.ports import free_port
from tidegate.events.event import Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.runtime.metrics_text import sample_value

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "default")


@dataclass
class Workspace:
    """A data folder, and its collector process."""

    folder: Path
    double: LogstashDouble
    port: int

    @property
    def logs(self) -> Path:
        return self.folder / "data" / "logs"

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def start(self) -> subprocess.Popen[bytes]:
        settings = {
            "STACK__DATA_DIR": self.folder / "data",
            "COLLECTOR__METRICS_PORT": self.port,
            "COLLECTOR__POLL_SECONDS": 0.02,
            "COLLECTOR__BATCH_EVENTS": 200,
            "COLLECTOR__SINK": "logstash",
            "COLLECTOR__LOGSTASH__URL": self.double.url,
            "COLLECTOR__LOGSTASH__PASSWORD_FILE": self.folder / "password",
        }
        environment = os.environ | {f"TIDEGATE_{name}": str(v) for name, v in settings.items()}
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tidegate", "collector"],
                env=environment,
                stdout=output,
                stderr=output,
            )

    def write(self, writer: EventWriter, numbers: range) -> None:
        for number in numbers:
            fields = {"tidegate": {"rows": number}}
            writer.write(
                make_event(ORIGIN, "request", "one more", unix_ns=time.time_ns(), fields=fields)
            )

    def numbers(self) -> list[int]:
        """The sorted numbers of the stored events."""
        stored = list(self.double.stored.values())
        requests = (one for one in stored if one["event"]["dataset"] == "tidegate.request")
        return sorted(one["tidegate"]["rows"] for one in requests)

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found = sample_value(text, f"tidegate_collector_{name}")
        assert found is not None, text
        return found


@pytest.fixture
def double() -> Iterator[LogstashDouble]:
    with logstash_double() as made:
        yield made


@pytest.fixture
def workspace(tmp_path: Path, double: LogstashDouble) -> Iterator[Workspace]:
    (tmp_path / "password").write_text(PASSWORD)
    made = Workspace(tmp_path, double, free_port())
    yield made
    assert "Traceback" not in made.output


def stop(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=60)


def test_a_logstash_that_is_down_full_or_silent_gets_all_events_later(
    workspace: Workspace, double: LogstashDouble
) -> None:
    writer = EventWriter(workspace.logs, "flights-1")
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
    assert workspace.output.count("the sink is unavailable, retrying") == 3
    assert workspace.output.count("the sink is available again") == 3


def test_a_collector_killed_before_the_response_sends_the_batch_again(
    workspace: Workspace, double: LogstashDouble
) -> None:
    double.silent = True
    workspace.write(EventWriter(workspace.logs, "flights-1"), range(150))
    process = workspace.start()
    eventually(lambda: double.requests > 0, "it sends")
    process.kill()
    process.wait(timeout=60)
    double.speak()
    process = workspace.start()
    eventually(lambda: workspace.metric("delivered_total") >= 150, "it sends again")
    assert stop(process) == 0
    assert workspace.numbers() == list(range(150))


def test_a_wrong_password_is_reported_and_no_event_is_lost(workspace: Workspace) -> None:
    (workspace.folder / "password").write_text("another")
    workspace.write(EventWriter(workspace.logs, "flights-1"), range(10))
    process = workspace.start()
    eventually(lambda: workspace.metric("retried_total") >= 1, "it tries")
    assert "collector.logstash.password_file: " in workspace.output
    (workspace.folder / "password").write_text(PASSWORD)
    eventually(
        lambda: len(workspace.numbers()) == 10, "they are delivered with the correct password"
    )
    assert stop(process) == 0


def test_a_stopping_collector_waits_for_its_destination_as_long_as_configured(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a pod, whose event files end with it.
    monkeypatch.setenv("TIDEGATE_COLLECTOR__LAST_PASS_SECONDS", "300")
    workspace.double.status = 503
    workspace.write(EventWriter(workspace.logs, "flights-1"), range(50))
    process = workspace.start()
    eventually(lambda: workspace.metric("retried_total") >= 1, "it tries")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: "delivering the remaining events" in workspace.output, "it stops")
    before = workspace.double.requests
    eventually(lambda: workspace.double.requests >= before + 3, "it tries again while it stops")
    workspace.double.status = 0
    assert process.wait(timeout=120) == 0
    assert workspace.numbers() == list(range(50))
