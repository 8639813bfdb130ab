"""The access log: events go to event files, other lines to the raw output."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import BinaryIO

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.eventually import eventually
from support.harnesses.event_files import events_in
from tidegate.events.writer import EventWriter
from tidegate.rules.service_rules import objective_histogram
from tidegate.settings import Settings
from tidegate.stack.gateway.access_log import (
    REQUESTS_SOCKET,
    access_event,
    argv,
    copy_events,
)
from tidegate.stack.gateway.request_times import DURATION

CONSTANT = b'"service":{"name":"shop"}'


TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def line(
    state: str = "----",
    *,
    path: str = "/x",
    status: int | None = 200,
    sent: str = "-",
    recorded: str = "-",
    retries: str = "0",
    queue_ms: int = 0,
    server: str = "model1",
) -> bytes:
    request = [2_000_000, 1_500_000, status, "GET", path, sent, recorded, None]
    times = [queue_ms, 10, 390 - queue_ms, 100]
    return json.dumps(["access", *request, *times, server, retries, state]).encode() + b"\n"


def copy(
    written: bytes,
    folder: Path,
    output: BinaryIO | None = None,
    read_as: type[io.FileIO] = io.FileIO,
) -> None:
    """Copy what was written to a pipe, until its end."""
    reading, writing = os.pipe()
    events = EventWriter(folder, "gateway")
    with read_as(reading) as lines:
        with io.FileIO(writing, "w") as pipe:
            pipe.write(written)
        copy_events(lines, events, output or io.BytesIO(), CONSTANT, every=False)


def test_access_events_go_to_event_files_and_other_lines_to_the_raw_output(tmp_path: Path) -> None:
    others = (b"[WARNING] x\n", b'["broken\n', b"[1]\n", b'{"a":1}\n', b'["access",1]\n')
    lines = [line(path="/1"), *others, line(path="/2").rstrip(b"\n")]
    output = io.BytesIO()
    copy(b"".join(lines), tmp_path, output)
    written = events_in(tmp_path)
    assert [event["url"]["path"] for event in written] == ["/1", "/2"]
    assert all(event["service"] == {"name": "shop"} for event in written)
    assert output.getvalue() == b"".join(others)


def test_an_event_about_a_replica_is_written_as_it_is(tmp_path: Path) -> None:
    ejected = b'{"event":{"action":"eject"},"tidegate":{"gateway":{"server":"model1"}}}\n'
    copy(ejected, tmp_path)
    assert [event["event"] for event in events_in(tmp_path)] == [{"action": "eject"}]


def test_events_go_to_the_data_folder_whatever_the_programs_working_directory_is() -> None:
    settings = Settings.model_validate({"stack": {"data_dir": "data"}})
    assert argv(settings)[4] == str(Path.cwd() / "data" / "logs")


def test_lines_that_come_in_pieces_are_put_together(tmp_path: Path) -> None:
    class Pieces(io.FileIO):
        def read(self, size: int | None = None, /) -> bytes:
            return super().read(min(size or 200, 200)) or b""

    whole = b"".join(line(path=f"/{number}") for number in range(9))
    copy(whole, tmp_path, read_as=Pieces)
    assert [event["url"]["path"] for event in events_in(tmp_path)] == [f"/{n}" for n in range(9)]


def test_a_line_that_cannot_be_written_is_dropped_without_an_error(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(28, "No space left on device")

    copy(b"[WARNING] x\n" + line(), tmp_path, Full())
    assert len(events_in(tmp_path)) == 1


OK, CUT = ("success", "info", ""), ("failure", "error", ", cut off before its end")
LEFT = ("unknown", "warn", ", the client left")


@pytest.mark.parametrize(
    ("states", "outcome"),
    [
        # Before the response, the status says it: the gateway's own.
        ("---- CR-- SH-- LR--", OK),
        ("SD-- sD-- PD-- KD--", CUT),
        ("CD-- cD-- CL-- CH-- CQ--", LEFT),
    ],
)
def test_a_response_that_did_not_end_is_no_success(
    states: str, outcome: tuple[str, str, str]
) -> None:
    for state in states.split():
        event = json.loads(access_event(line(state), CONSTANT) or b"")
        found = (event["event"]["outcome"], event["log"]["level"], event["message"])
        assert found == (*outcome[:2], f"GET /x 200{outcome[2]}"), state


@pytest.mark.parametrize(
    ("status", "found"),
    [(200, ("info", "success")), (404, ("warn", "success")), (500, ("error", "failure"))],
)
def test_level_and_outcome_follow_the_status(status: int, found: tuple[str, str]) -> None:
    event = json.loads(
        access_event(line(status=status, sent=TRACE, recorded="odd"), CONSTANT) or b""
    )
    assert (event["log"]["level"], event["event"]["outcome"]) == found
    # An invalid trace of a replica leaves that of the client.
    assert event["trace"] == {"id": "a" * 32}
    both = line(sent=TRACE, recorded=TRACE.replace("a", "c"))
    assert json.loads(access_event(both, CONSTANT) or b"")["trace"] == {"id": "c" * 32}


def test_a_request_without_an_answer_has_no_status_and_no_time_in_the_queue() -> None:
    event = json.loads(access_event(line("CQ--", status=None), CONSTANT) or b"")
    assert event["message"] == "GET /x unanswered, the client left"
    assert event["http"]["response"] == {"status_code": None}
    assert event["tidegate"]["gateway"]["queue_ns"] is None
    assert event["event"]["duration"] == 500_000_000
    answered = json.loads(access_event(line(), CONSTANT) or b"")
    assert answered["tidegate"]["first_byte_ns"] == 400_000_000


def test_a_request_that_its_replica_has_recorded_leaves_no_second_event(tmp_path: Path) -> None:
    told = [line(recorded=TRACE, status=status) for status in (200, 404, 500)]
    others = [
        line(path="/no-event"),
        line(path="/invalid", recorded=f"00-{'0' * 32}-{'b' * 16}-01"),
        line(path="/failed", status=500),
        line(path="/repeated", recorded=TRACE, retries="+1"),
        line("CD--", path="/left", recorded=TRACE),
        line("SD--", path="/cut", recorded=TRACE),
        line("CQ--", path="/unanswered", status=None),
    ]
    output = io.BytesIO()
    copy(b"".join(told + others), tmp_path, output)
    written = [event["url"]["path"] for event in events_in(tmp_path)]
    assert written == [json.loads(one)[5] for one in others]
    assert not output.getvalue()
    assert access_event(told[0], CONSTANT, every=True)


def test_each_request_of_a_program_leaves_an_event() -> None:
    assert not argv(Settings())[-1]
    command = Settings.model_validate({"replicas": {"command": ["shop", "{port}"]}})
    assert argv(command)[-1] == "every"


@pytest.mark.parametrize("until", ["last_byte", "first_byte"])
def test_a_program_without_metrics_has_the_gateways_times(tmp_path: Path, until: str) -> None:
    settings = Settings.model_validate(
        {
            "replicas": {"command": ["shop", "{port}"]},
            "slo": {"latency_seconds": 0.45, "until": until},
            "stack": {"data_dir": tmp_path},
        }
    )
    own = [line(), line(status=503, server="<NOSRV>"), line(queue_ms=100)]
    others = [
        line("CQ--", status=None),
        line("SD--"),
        line(recorded=TRACE),  # its replica has metrics
        b'["access",1]\n',
    ]
    with subprocess.Popen(argv(settings), stdin=subprocess.PIPE, cwd=tmp_path) as program:
        assert program.stdin is not None
        program.stdin.write(b"".join(own + others))
        program.stdin.flush()
        eventually(lambda: 'status_code="503"' in scrape(tmp_path / REQUESTS_SOCKET))
        found = scrape(tmp_path / REQUESTS_SOCKET)
        program.stdin.close()
        assert program.wait() == 0
    samples = {
        (
            sample.labels.get("http_response_status_code"),
            sample.name,
            sample.labels.get("le"),
        ): sample
        for family in text_string_to_metric_families(found)
        for sample in family.samples
    }
    name = objective_histogram(settings.slo)
    assert samples["200", f"{name}_bucket", "0.45"].value == (2 if until == "first_byte" else 0)
    assert samples["200", f"{name}_bucket", "+Inf"].value == 2
    assert samples["200", f"{DURATION}_count", None].value == 2
    assert samples["200", f"{DURATION}_sum", None].value == 1
    assert {sample.labels["job"] for sample in samples.values()} == {"model"}
    assert {status for status, *_ in samples} == {"200", "503", None}
    assert samples[None, "tidegate_gateway_slot_seconds_count", None].value == 2, (
        "the 503 was with no replica"
    )
    in_slot = 0.4 + 0.3 if until == "first_byte" else 0.5 + 0.4
    assert samples[None, "tidegate_gateway_slot_seconds_sum", None].value == pytest.approx(in_slot)
    assert ("first_byte" in found) is (until == "first_byte")


def scrape(path: Path) -> str:
    """What a scrape by HTTP has as its body; empty before the socket is there."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(os.path.relpath(path))
            client.sendall(b"GET /metrics/requests HTTP/1.1\r\n\r\n")
            head, _, body = b"".join(iter(lambda: client.recv(65536), b"")).partition(b"\r\n\r\n")
    except OSError:
        return ""
    assert head.startswith(b"HTTP/1.0 200")
    return body.decode()
