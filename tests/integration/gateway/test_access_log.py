"""Each access is logged as one event in the Elastic Common Schema, whatever the client sends."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import aiohttp
import pytest

from support.doubles.tcp_server import speaking
from support.eventually import eventually, eventually_async
from support.processes.gateway_process import TRACE_ID, Behind, Gateway, StartGateway, send
from tidegate.events.event import Origin, make_event
from tidegate.runtime.metrics_text import sample_value
from tidegate.settings import Settings
from tidegate.stack.gateway import access_log
from tidegate.stack.gateway.request_times import RequestTimes
from tidegate.stack.processes.process import PIPE_BYTES

pytestmark = pytest.mark.integration

END = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
OK = {"job": "model", "http_response_status_code": "200"}
VALID_TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01".encode()
HOSTILE = {
    "quotes and a backslash": b'GET /a"b\\c","log":{"level":"x' + END,
    "percent-encoded control bytes": b"GET /%22%5c%00%0a" + END,
    "invalid UTF-8": b"GET /\xff\xfe\x80" + END,
    "control bytes": b"GET /\x01\x02\x1b" + END,
    "text beyond ASCII": "GET /café".encode() + END,
    "an odd method": b"FOO|'BAR /x" + END,
    "a method of all its characters": b"!#$%&'*+.^_`|~ /x" + END,
    "a very long method": b"A" * 3000 + b" /x" + END,
    "a forbidden method": b'GE"T /x' + END,
    "a very long path": b"GET /" + b"a" * 9000 + END,
    "a very long path of quotes": b"GET /" + b'"' * 9000 + END,
    "no HTTP": b"garbage\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xff\x01\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\n",
    "a target that is no path": b"OPTIONS *" + END,
    "CONNECT": b"CONNECT a:1" + END,
    "an absolute target": b"GET http://other/x" + END,
    "two lengths": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a negative length": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "a forged trace": b'GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\ntraceparent: 00-"}{\r\n\r\n',
    "two traces": b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"traceparent: " + VALID_TRACE + b'\r\ntraceparent: 00-"}{\r\n\r\n',
    "a trace in a list": b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"traceparent: " + VALID_TRACE + b',00-"}{\r\n\r\n',
    "a trace and more": b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"traceparent: " + VALID_TRACE + b'-"}{\r\n\r\n',
    "a body that breaks off": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    "a head that breaks off": b"GET /x HTTP/1.1\r\nHost:",
}


async def test_every_hostile_request_is_logged_as_one_valid_event(behind: Behind) -> None:
    gateway, _ = await behind({})
    for raw in HOSTILE.values():
        await send(gateway.port, raw)
    lines = await gateway.lines(len(HOSTILE))
    assert len(lines) == len(HOSTILE)
    origin = Origin("flights", version("tidegate"), "local", "gateway", "default")
    constant = make_event(origin, "access", "", unix_ns=0)
    for line in lines:
        assert {name: line[name] for name in ("ecs", "service", "data_stream")} == {
            name: constant[name] for name in ("ecs", "service", "data_stream")
        }
        assert line["event"]["dataset"] == "tidegate.access"
        assert line["log"]["level"] in {"info", "warn", "error"}
        assert set(constant) <= set(line)
        assert len(line.get("url", {}).get("path", "")) <= 2048
    assert len({line["event"]["id"] for line in lines}) == len(lines)
    assert any(line["message"].startswith("!#$%&'*+.^_`|~ /x") for line in lines)
    assert gateway.process.returncode is None


async def test_an_access_event_covers_the_request_from_arrival_to_response(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, _ = await behind({"seconds": 0.05})
    before = time.time()
    async with session.post(f"{gateway.url}/predict?token=secret", data=b"{}") as answer:
        await answer.read()
    (line,) = await gateway.lines(1)
    after = time.time()
    assert line["message"] == "POST /predict 200"
    assert line["http"] == {"request": {"method": "POST"}, "response": {"status_code": 200}}
    assert line["url"] == {"path": "/predict"}
    assert line["trace"] == {"id": TRACE_ID}
    assert line["event"]["outcome"] == "success"
    assert line["tidegate"]["gateway"] == {
        "queue_ns": 0,
        "server": "model1",
        "retries": 0,
        "termination_state": "----",
    }
    started, ended = (
        datetime.fromisoformat(text).timestamp()
        for text in (line["event"]["start"], line["@timestamp"])
    )
    assert before - 0.02 <= started <= ended <= after + 0.02
    assert line["event"]["duration"] == pytest.approx((ended - started) * 1e9, abs=1000)
    assert line["event"]["duration"] >= 50e6
    # A query string may contain anything.
    assert b"secret" not in gateway.output.read_bytes()


@pytest.mark.parametrize("cut_by", ["replica", "client"])
async def test_a_response_that_does_not_end_is_no_success(
    cut_by: str, start_gateway: StartGateway
) -> None:
    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        if not request.startswith(b"GET /ready "):
            writer.write(b"begun")
            if cut_by == "client":
                await reader.read()

    async with speaking(begin) as port:
        gateway = await start_gateway([f"127.0.0.1:{port}"])
        await gateway.ready_replicas(1)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /x" + END)
        assert b"begun" in await reader.readuntil(b"begun")
        if cut_by == "replica":
            assert await reader.read() == b""
        writer.close()
        (line,) = await gateway.lines(1)
        aborts = {
            who: await gateway.metric(f"haproxy_backend_{who}_aborts_total", proxy="model")
            for who in ("server", "client")
        }
    assert line["http"]["response"]["status_code"] == 200
    state = line["tidegate"]["gateway"]["termination_state"][:2]
    found = (line["event"]["outcome"], line["log"]["level"], state, aborts)
    assert (
        found
        == {
            "replica": ("failure", "error", "SD", {"server": 1, "client": 0}),
            "client": ("unknown", "warn", "CD", {"server": 0, "client": 1}),
        }[cut_by]
    )


TRACES = (
    (("00-T-S-01",), True),
    (("00-T-S-00",), True),
    (("01-T-S-01-more",), True),
    ((), False),
    (("00-T-S-01", "00-T-S-01"), False),
    (("00-T-S-01,00-T-S-01",), False),
    (("00-T-S-01", "odd"), False),
    (("00-T-S-01-more",), False),
    (("ff-T-S-01",), False),
    ((f"00-{'0' * 32}-S-01",), False),
    ((f"00-T-{'0' * 16}-01",), False),
    (("00-T-S",), False),
)


async def test_a_single_valid_traceparent_is_forwarded_and_any_other_is_dropped(
    behind: Behind, session: aiohttp.ClientSession
) -> None:
    gateway, (replica,) = await behind({"traced": False})
    for number, (traces, valid) in enumerate(TRACES):
        sent = [one.replace("T", "ab" * 16).replace("S", "cd" * 8) for one in traces]
        headers = [("tracestate", "a=b"), *(("traceparent", one) for one in sent)]
        async with session.post(f"{gateway.url}/predict", headers=headers) as answer:
            assert answer.status == 200
        line = (await gateway.lines(number + 1))[number]
        assert line["trace"] == ({"id": "ab" * 16} if valid else {}), traces
        forwarded = replica.requests[number].headers
        assert forwarded.getall("traceparent", []) == (sent if valid else []), traces
        assert ("tracestate" in forwarded) == valid, traces


async def test_probes_are_not_logged(behind: Behind, session: aiohttp.ClientSession) -> None:
    gateway, _ = await behind({})
    for path in ("/live", "/ready", "/metrics", "/predict"):
        async with session.get(gateway.url + path) as answer:
            await answer.read()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.close()
    assert not await reader.read()
    (line,) = await gateway.lines(1)
    assert line["url"]["path"] == "/predict"


async def test_the_gateway_answers_with_the_times_of_a_program_without_metrics(
    behind: Behind, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, _ = await behind({}, command=("shop", "{port}"))
    monkeypatch.chdir(gateway.config.parent)
    RequestTimes((0.5,), first_byte=False).serve(Path(access_log.REQUESTS_SOCKET))
    url = f"http://127.0.0.1:{gateway.metrics_port}"
    async with session.get(f"{url}/metrics/requests") as answer:
        assert answer.status == 200
        assert "http_server_request_duration_seconds_count" in await answer.text()
    async with session.get(f"{url}/metrics/others") as answer:
        assert answer.status == 404


async def times_of(
    gateway: Gateway, until: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, float]:
    """The seconds of its one request, and how long that was with its program, as the gateway counts them."""
    await gateway.lines(1)
    (line,) = gateway.output.read_bytes().splitlines()
    times = RequestTimes((0.5,), first_byte=until == "first_byte")
    access_log.access_event(line, b"", times)
    monkeypatch.chdir(gateway.config.parent)
    times.serve(Path(access_log.REQUESTS_SOCKET))
    url = f"http://127.0.0.1:{gateway.metrics_port}/metrics/requests"
    async with gateway.session.get(url) as answer:
        text = await answer.text()
    whole = sample_value(text, "http_server_request_duration_seconds_sum", **OK)
    return whole or 0.0, sample_value(text, "tidegate_gateway_slot_seconds_sum") or 0.0


async def a_second(gateway: Gateway) -> None:
    """Wait until at least one second has gone by on the gateway's clock."""
    began = await gateway.metric("haproxy_process_uptime_seconds")

    async def later() -> bool:
        return await gateway.metric("haproxy_process_uptime_seconds") >= began + 2

    await eventually_async(later)


@pytest.mark.parametrize("until", ["last_byte", "first_byte"])
async def test_a_client_that_is_slow_to_send_takes_no_time_of_a_slot(
    behind: Behind, until: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, _ = await behind({"traced": False}, command=("shop", "{port}"))
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"POST /x" + END.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n{"))
    await a_second(gateway)
    writer.write(b"}")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    whole, in_slot = await times_of(gateway, until, monkeypatch)
    assert in_slot < whole - 1


@pytest.mark.parametrize("until", ["last_byte", "first_byte"])
async def test_a_client_that_is_slow_to_read_takes_time_of_a_slot_until_the_byte_of_the_objective(
    start_gateway: StartGateway, until: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b"" if request.startswith(b"GET /ready ") else bytes(2**25)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with speaking(much) as port:
        gateway = await start_gateway([f"127.0.0.1:{port}"], command=("shop", "{port}"))
        await gateway.ready_replicas(1)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /x" + END)
        await reader.readuntil(b"\r\n\r\n")
        await a_second(gateway)
        assert len(await reader.read()) == 2**25
        writer.close()
        whole, in_slot = await times_of(gateway, until, monkeypatch)
    assert (in_slot < whole - 1) is (until == "first_byte")


def test_a_flood_of_long_lines_does_not_fill_the_pipe(
    tmp_path: Path,
) -> None:
    settings = Settings.model_validate({"stack": {"data_dir": tmp_path}})
    fields = [
        "access",
        2_000_000,
        1_500_000,
        404,
        "GET",
        "/" + "a" * 2047,
        "-",
        "-",
        None,
        *[-1] * 4,
        "m",
        "0",
    ]
    line = json.dumps([*fields, "LR--"]).encode() + b"\n"
    command = access_log.argv(settings)
    with subprocess.Popen(command, stdin=subprocess.PIPE, pipesize=PIPE_BYTES) as program:
        assert program.stdin is not None
        pipe = program.stdin.fileno()

        def written() -> int:
            return sum(file.read_bytes().count(b"\n") for file in tmp_path.rglob("*.ndjson"))

        os.write(pipe, line)
        eventually(lambda: written() == 1)
        os.set_blocking(pipe, False)
        dropped = 0
        # At most 10,000 lines a second.
        for _ in range(100):
            time.sleep(0.004)
            for _ in range(40):
                try:
                    os.write(pipe, line)
                except BlockingIOError:
                    dropped += 1
    assert written() == 4001 - dropped
    # The machine may have had no CPU for the program for a moment.
    assert dropped < 1000
