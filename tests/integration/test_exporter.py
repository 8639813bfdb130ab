"""The exporter as a process: a real Elasticsearch, the statistics of Logstash, Alertmanager's webhook."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.ports import free_port
from support.samples.alertmanager import alert, notification, resolved
from support.samples.elasticsearch_accounts import add_roles, add_user
from tidegate.events.event import Origin, make_event
from tidegate.provision.elasticsearch.roles import ROLES
from tidegate.runtime.metrics_text import sample_value
from tidegate.settings import Elasticsearch
from tidegate.store.base import SearchRequest
from tidegate.store.elasticsearch.store import ElasticsearchStore
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore

READER = next(role for role in ROLES if role.name == "tidegate_reader")
# Other modules add the account tidegate_reader to the server, with another password.
ACCOUNT = "exporter_reader"


@dataclass
class RunningExporter:
    """A running exporter."""

    port: int
    logs: Path
    output: Path
    process: subprocess.Popen[bytes]

    def metrics(self) -> str:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/metrics", timeout=60
        ) as response:
            return str(response.read().decode())

    def metric(self, name: str, **labels: str) -> float | None:
        return sample_value(self.metrics(), name, **labels)

    def post(self, body: bytes) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/alerts", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait while the process runs; what it printed is in the message of a failure."""

        def checked() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return bool(holds())

        try:
            eventually(checked, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output.read_text()}") from error


def command(folder: Path, **settings: object) -> tuple[list[str], dict[str, str]]:
    environment = os.environ | {
        "TIDEGATE_STACK__DATA_DIR": str(folder),
        **{f"TIDEGATE_{name}": str(value) for name, value in settings.items()},
    }
    return [sys.executable, "-m", "tidegate", "exporter"], environment


@contextmanager
def exporter(folder: Path, **settings: object) -> Iterator[RunningExporter]:
    port = free_port()
    argv, environment = command(folder, EXPORTER__PORT=port, **settings)
    with (folder / "output").open("ab") as output:
        process = subprocess.Popen(argv, env=environment, stdout=output, stderr=output)
    running = RunningExporter(port, folder / "logs", folder / "output", process)
    try:
        running.until(running.metrics, "the exporter responds")
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert "Traceback" not in running.output.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def reader(guarded_elasticsearch: Any, tmp_path_factory: Any) -> dict[str, Path | str]:
    """The exporter's account, with its own role only."""
    add_roles(guarded_elasticsearch, f"{ACCOUNT}: {json.dumps(READER.body())}\n")
    add_user(guarded_elasticsearch, ACCOUNT, "reader-password", ACCOUNT)
    password = tmp_path_factory.mktemp("reader") / "reader"
    password.write_text("reader-password\n")
    return {
        "STORE__KIND": "elasticsearch",
        "STORE__ELASTICSEARCH__URL": guarded_elasticsearch.url,
        "STORE__ELASTICSEARCH__USERNAME": ACCOUNT,
        "STORE__ELASTICSEARCH__PASSWORD_FILE": password,
    }


@pytest.mark.integration
def test_the_reader_account_may_read_every_metric_of_elasticsearch(
    guarded_elasticsearch: Any, reader: dict[str, Any], tmp_path: Path
) -> None:
    namespace = uuid.uuid4().hex
    owner = Elasticsearch(
        url=guarded_elasticsearch.url,
        username="elastic",
        password_file=guarded_elasticsearch.folder / "password",
    )
    origin = Origin("flights", "1", "local", "flights-1", namespace)
    with closing(ElasticsearchStore(owner)) as store:
        store.append([make_event(origin, "app", "x", unix_ns=time.time_ns()) for _ in range(5)])
    documents = "tidegate_elasticsearch_documents"
    stream = f"logs-tidegate.app-{namespace}"
    # A long scrape interval, as a scrape may take long on a busy machine.
    with exporter(tmp_path, **reader, PROMETHEUS__SCRAPE_SECONDS=5) as running:
        running.until(
            lambda: running.metric("tidegate_elasticsearch_up") == 1, "the login is accepted"
        )
        running.until(
            lambda: running.metric(documents, stream=stream) == 5, "the documents are counted"
        )
        status = {
            level: running.metric("tidegate_elasticsearch_cluster_status", status=level)
            for level in ("green", "yellow", "red")
        }
        # Yellow if another module's index on the shared server has a replica without a node.
        assert status in ({"green": 1, "yellow": 0, "red": 0}, {"green": 0, "yellow": 1, "red": 0})
        free = running.metric("tidegate_elasticsearch_disk_free_bytes", node="tidegate")
        size = running.metric("tidegate_elasticsearch_disk_bytes", node="tidegate")
        assert free
        assert size
        assert 0 < free <= size
        assert "tidegate_logstash" not in running.metrics(), "no Logstash is configured"
        assert "not exported" not in running.output.read_text()


def test_a_repeated_alert_is_stored_once(tmp_path: Path) -> None:
    with exporter(tmp_path) as running:
        for sent in (alert(), alert(), resolved(), alert()):
            body = json.dumps(notification(sent)).encode()
            assert running.post(body) == (200, {"events": 1})
        refused = {"error": "alerts: Field required"}
        assert running.post(b'{"version": "4"}') == (400, refused)
        assert running.metric("tidegate_exporter_alerts_total", status="firing") == 3
    lines = [line for path in running.logs.iterdir() for line in path.read_text().splitlines()]
    with closing(EmbeddedStore(tmp_path / "store")) as store:
        assert store.append([json.loads(line) for line in lines]) == []
    with closing(EmbeddedReader(tmp_path / "store")) as found:
        firing = found.search(SearchRequest("tidegate.alert.status:firing"))
        ended = found.search(SearchRequest("tidegate.alert.name:GatewayDown AND log.level:info"))
    assert (firing.total, ended.total) == (1, 1)
    assert firing.hits[0]["service"]["node"]["name"] == "exporter"


def test_a_failed_start_names_the_setting(tmp_path: Path) -> None:
    def start(**settings: object) -> tuple[int, str]:
        argv, environment = command(tmp_path, **settings)
        done = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = start(EXPORTER__PORT=port)
    assert code == 2
    assert error.startswith(f"exporter: exporter.port: port {port} is taken")
    (tmp_path / "file").write_text("")
    code, error = start(STACK__DATA_DIR=tmp_path / "file", EXPORTER__PORT=free_port())
    assert code == 2
    assert error.startswith("exporter: stack.data_dir: ")
