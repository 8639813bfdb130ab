"""Real components that tests of every kind may ask for. Each is started once, when first asked for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class ElasticsearchServer:
    """An Elasticsearch that a test may stop and start again; its data stays."""

    port: int
    folder: Path
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._run("start", "--port", str(self.port), "--data", str(self.folder), *self.options)

    def stop(self) -> None:
        self._run("stop", "--data", str(self.folder))

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [ROOT / "scripts" / "elasticsearch", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def unavailable(what: str) -> NoReturn:
    """Skip, because a component cannot be had; where all are required, fail."""
    if os.environ.get("TIDEGATE_REQUIRE_ALL") == "1":
        pytest.fail(what)
    pytest.skip(what)


def free_port() -> int:
    """A port that is free, below the range that the kernel hands out itself."""
    for port in range(21220, 21300):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("no free port")


@contextmanager
def running(*options: str) -> Iterator[ElasticsearchServer]:
    """A real Elasticsearch with these options of `scripts/elasticsearch start`."""
    installed = subprocess.run(
        [ROOT / "scripts" / "elasticsearch", "install"], capture_output=True, text=True, check=False
    )
    if installed.returncode != 0:
        unavailable(f"Elasticsearch could not be installed: {installed.stderr.strip()}")
    # Not below pytest's own folder, which only its user may enter: Elasticsearch runs as another.
    folder = Path(tempfile.mkdtemp(prefix="tidegate-elasticsearch-"))
    folder.chmod(0o755)
    server = ElasticsearchServer(free_port(), folder, options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def elasticsearch_server() -> Iterator[ElasticsearchServer]:
    """A real Elasticsearch. A test that stops it must start it again."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch_url(elasticsearch_server: ElasticsearchServer) -> str:
    """Where the real Elasticsearch is."""
    return elasticsearch_server.url


@pytest.fixture(scope="module")
def guarded_elasticsearch() -> Iterator[ElasticsearchServer]:
    """One that asks for a password (it is in `folder/password`) and takes requests up to 1 MB."""
    with running("--security", "--setting", "http.max_content_length: 1mb") as server:
        yield server


@pytest.fixture(scope="session")
def prometheus_program() -> str:
    """The Prometheus that the stack would start."""
    from tidegate.stack.prometheus import PrometheusError, prometheus_binary

    try:
        return str(prometheus_binary())
    except PrometheusError as error:
        unavailable(str(error))
