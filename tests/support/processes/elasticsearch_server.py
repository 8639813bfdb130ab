"""Real Elasticsearch servers, started with scripts/elasticsearch and shared by the workers of pytest-xdist.

A server costs 6 to 10 CPU-seconds to start and as many again until it is warm, so a server that one test
module has released is used by the next one, of whichever worker.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.checkout import ROOT
from support.commands import output, run
from support.components import unavailable
from support.ports import free_port

VARIABLE = "ELASTICSEARCH_TEST_SERVERS"
"""The folder of this run of the tests in which its servers are listed; the workers inherit it."""
EVENTS = "*-tidegate.*-*"
SCRIPT = ROOT / "scripts" / "elasticsearch"


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

    def delete_events(self) -> None:
        """Delete the events of all streams. The test distribution has no API that deletes a stream."""
        from elasticsearch import Elasticsearch

        with Elasticsearch(self.url) as client:
            client.indices.refresh(index=EVENTS)
            while hits := client.search(index=EVENTS, size=10_000, source=False)["hits"]["hits"]:
                operations = [
                    {"delete": {"_index": hit["_index"], "_id": hit["_id"]}} for hit in hits
                ]
                client.bulk(operations=operations, refresh=True)

    def _run(self, *arguments: str) -> None:
        output(SCRIPT, *arguments, stdin=subprocess.DEVNULL)


def begin_run() -> None:
    """Before the workers start: make the folder in which the servers of this run are listed."""
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="tidegate-servers-")


def end_run() -> None:
    """After the last test: stop the servers."""
    run = Path(os.environ.pop(VARIABLE))
    for record in run.glob("*.server"):
        server = _read(record, ())
        server.stop()
        shutil.rmtree(server.folder)
    shutil.rmtree(run)


@contextmanager
def lease(*options: str, exclusive: bool) -> Iterator[ElasticsearchServer]:
    """A server with these options of `scripts/elasticsearch start`; started only if no other is free.

    Args:
        options: those of the command.
        exclusive: no other module uses the server meanwhile. It is needed to stop or to reconfigure the
            server, or to search it without a namespace. Data of other modules may be there.
    """
    run = Path(os.environ[VARIABLE])
    digest = hashlib.sha256(repr(options).encode()).hexdigest()[:8]
    for number in itertools.count():
        # The kernel releases the locks of a worker that dies.
        with (run / f"{digest}-{number}.lock").open("w") as lock:
            how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            try:
                fcntl.flock(lock, how | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield _started(run / f"{digest}-{number}.server", options)
            return


def _started(record: Path, options: tuple[str, ...]) -> ElasticsearchServer:
    """The server of this record; the first of those that share it starts it."""
    with record.with_suffix(".starting").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            server = _start(options)
            record.write_text(f"{server.port} {server.folder}")
    return _read(record, options)


def _read(record: Path, options: tuple[str, ...]) -> ElasticsearchServer:
    port, _, folder = record.read_text().partition(" ")
    return ElasticsearchServer(int(port), Path(folder), options)


def _start(options: tuple[str, ...]) -> ElasticsearchServer:
    installed = run(SCRIPT, "install", timeout=3600)
    if installed.returncode != 0:
        unavailable(f"Elasticsearch could not be installed: {installed.stderr.strip()}")
    # Not below pytest's own folder, which only its user may enter: Elasticsearch runs as another.
    folder = Path(tempfile.mkdtemp(prefix="tidegate-elasticsearch-"))
    folder.chmod(0o755)
    server = ElasticsearchServer(free_port(), folder, options)
    try:
        server.start()
    except BaseException:
        server.stop()
        shutil.rmtree(folder)
        raise
    return server


@contextmanager
def running(*options: str) -> Iterator[ElasticsearchServer]:
    """A server that no other module uses, before or after."""
    server = _start(options)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)
