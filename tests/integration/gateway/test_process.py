"""`tidegate gateway`: the gateway as a daemon that finds its replicas by DNS."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from support.eventually import eventually
from support.harnesses.event_files import events_in
from support.ports import free_ports
from support.scrape import scrape

pytestmark = pytest.mark.integration


class DnsServer(threading.Thread):
    """A DNS server that resolves every name to 127.0.0.1, until it gets an empty packet."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"

    def stop(self) -> None:
        # Closing the socket here would not end recvfrom there, and could make a sendto fail, which pytest
        # would report in another test.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.join()
        self.socket.close()

    def run(self) -> None:
        while True:
            question, sender = self.socket.recvfrom(4096)
            if not question:
                return
            end = question.index(b"\0", 12) + 5
            question_section = question[12:end]
            is_ipv4 = question_section[-4:-2] == b"\0\1"
            header = question[:2] + struct.pack("!HHHHH", 0x8180, 1, is_ipv4, 0, 0)
            record = struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton("127.0.0.1")
            self.socket.sendto(header + question_section + (record if is_ipv4 else b""), sender)


class Replica(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def gateway(folder: Path, first: int, *, dns_server: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "TIDEGATE_STACK__DATA_DIR": str(folder),
        "TIDEGATE_GATEWAY__PORT": str(first),
        "TIDEGATE_GATEWAY__METRICS_PORT": str(first + 1),
    }
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tidegate", "gateway"),
            *("--dns-name", f"model:{first + 2}", "--dns-server", dns_server),
        ],
        env=environment,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(port: int, path: str = "/hello", seconds: float = 90) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def queued(port: int) -> float:
    """The number of requests that wait."""
    return scrape(port, "haproxy_backend_current_queue", proxy="model") or 0


@contextmanager
def replica(port: int) -> Iterator[None]:
    """A replica that answers."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Replica)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def dns_server() -> Iterator[str]:
    server = DnsServer()
    server.start()
    yield server.address
    server.stop()


def test_the_gateway_resolves_a_replica_by_dns_and_writes_access_events(
    tmp_path: Path, dns_server: str
) -> None:
    first = free_ports(3)
    with replica(first + 2), gateway(tmp_path, first, dns_server=dns_server) as process:
        eventually(lambda: ask(first) == 200, "the replica answers through the gateway")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    lines = events_in(tmp_path / "logs", node="gateway")
    answered = [line for line in lines if line["http"]["response"]["status_code"] == 200]
    assert [line["url"]["path"] for line in answered] == ["/hello"]
    assert answered[0]["event"]["dataset"] == "tidegate.access"


def test_a_request_that_waits_when_the_gateway_is_stopped_is_answered_by_the_next_replica(
    tmp_path: Path, dns_server: str
) -> None:
    first = free_ports(3)
    with (
        gateway(tmp_path, first, dns_server=dns_server) as process,
        ThreadPoolExecutor(1) as pool,
        closing(HTTPConnection("127.0.0.1", first, timeout=90)) as kept,
    ):
        eventually(lambda: ask(first + 1, "/metrics") == 200, "HAProxy runs")
        kept.request("GET", "/metrics")  # answered by the gateway itself
        kept.getresponse().read()
        waiting = pool.submit(ask, first)
        eventually(lambda: queued(first + 1) == 1, "it waits")
        process.send_signal(signal.SIGTERM)
        eventually(lambda: ask(first, "/live") == 0, "no new connection is accepted")
        kept.request("GET", "/kept")
        # The autoscaler still reads the number of those that wait.
        eventually(lambda: queued(first + 1) == 2, "both wait")
        with replica(first + 2):
            assert waiting.result() == 200
            with kept.getresponse() as response:
                assert (response.status, response.will_close) == (200, True)
            assert process.wait(timeout=60) == 0


def test_the_gateway_exits_when_haproxy_is_killed(tmp_path: Path, dns_server: str) -> None:
    first = free_ports(3)
    with gateway(tmp_path, first, dns_server=dns_server) as process:
        eventually(lambda: ask(first + 1, "/metrics") == 200, "HAProxy runs")
        children = psutil.Process(process.pid).children()
        (haproxy,) = (child for child in children if child.name() == "haproxy")
        haproxy.kill()
        assert process.wait(timeout=60) == 1
        assert process.stderr is not None
        assert "gateway: HAProxy was killed by SIGKILL" in process.stderr.read().decode()


def test_a_failed_start_is_reported_in_one_line(tmp_path: Path, dns_server: str) -> None:
    first = free_ports(3)
    (tmp_path / "logs").write_text("in the way")
    with gateway(tmp_path, first, dns_server=dns_server) as process:
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 2
        assert stderr.decode().startswith("gateway: ")
        assert len(stderr.decode().splitlines()) == 1
