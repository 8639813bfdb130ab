"""The collector as a process, sending to a stand-in of Logstash's http input, with either of them troubled.

The stand-in behaves as the real Logstash was measured to: docs/explanation/event-pipeline.md.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.doubles.logstash_double import PASSWORD, LogstashDouble, logstash_double
from support.eventually import eventually
from support.processes.collector_process import CollectorFolder, stop


class Workspace(CollectorFolder):
    """A collector that sends to the stand-in, with the password in this folder."""

    def __init__(self, folder: Path, double: LogstashDouble) -> None:
        self.double, password = double, folder / "password"
        password.write_text(PASSWORD)
        logstash = {"url": double.url, "password_file": password}
        super().__init__(folder, {"collector": {"sink": "logstash", "logstash": logstash}})

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
