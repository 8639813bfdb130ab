"""How each shipper is configured, as its own documentation recommends it against loss, and run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.ports import free_port
from support.scrape import scrape
from tidegate.collector.checkpoint import Checkpoint

SCRIPT: Final = Path(__file__).parents[2] / "scripts" / "shippers"
"""Builds the other shipper, and says where it is."""
NODE: Final = "flights-1"
"""Whose event files are counted."""
STOP_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a shipper works.

    Attributes:
        data: its folder; the event files are in `logs`, what it remembers is in `collector`.
        url: of Elasticsearch, or of what receives OTLP before it.
        index: that it writes to, unless it is ours; there it is the namespace.
        metrics_port: of its own metrics.
    """

    data: Path
    url: str
    index: str
    metrics_port: int = field(default_factory=free_port)

    @property
    def logs(self) -> Path:
        """The folder of the event files."""
        return self.data / "logs"

    @property
    def state(self) -> Path:
        """The folder of what it remembers."""
        return self.data / "collector"


@dataclass(frozen=True, slots=True)
class Shipper:
    """A shipper: its name in the table, the page that its configuration follows, and its command.

    Attributes:
        command: writes its configuration; returns the arguments and the environment.
        stream: the index or data stream in which its events are, from `Place.index`.
        done: whether, by what it shows itself, it has nothing left to send.
        otlp: whether it sends OTLP.
    """

    name: str
    page: str
    command: Callable[[Place], tuple[list[str], Mapping[str, str]]]
    stream: str
    done: Callable[[Place], bool]
    otlp: bool = False


@dataclass
class Process:
    """A shipper that runs, and may be killed and started again."""

    shipper: Shipper
    place: Place
    _running: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        """Start it; its output goes to the file `output` of the folder."""
        argv, environment = self.shipper.command(self.place)
        with (self.place.data / "output").open("ab") as output:
            self._running = subprocess.Popen(
                argv, env={**os.environ, **environment}, stdout=output, stderr=output
            )

    def kill(self) -> None:
        """End it by SIGKILL, if it has not ended by itself."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def stop(self) -> None:
        """End it as its service would be: by SIGTERM, and by SIGKILL if that takes too long."""
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)
            try:
                self._running.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()


def _tidegate(place: Place) -> tuple[list[str], dict[str, str]]:
    """All settings are the defaults."""
    return [sys.executable, "-m", "tidegate", "collector"], {
        "TIDEGATE_STACK__DATA_DIR": str(place.data),
        "TIDEGATE_STORE__KIND": "elasticsearch",
        "TIDEGATE_STORE__ELASTICSEARCH": json.dumps({"url": place.url}),
        "TIDEGATE_SERVICE__NAMESPACE": place.index,
        "TIDEGATE_COLLECTOR__METRICS_PORT": str(place.metrics_port),
    }


def _tidegate_done(place: Place) -> bool:
    """Whether its checkpoint is at the end of each file."""
    offsets = Checkpoint(place.state / "checkpoint.json").load().offsets
    files = place.logs.glob(f"{NODE}.*.ndjson")
    return all(offsets.get(path.name) == path.stat().st_size for path in files)


def _otelcol(place: Place) -> tuple[list[str], dict[str, str]]:
    """Positions and queue on disk, retries without an end, and files read again when a queue is full.

    And no buffer before the queue, which a kill would take: the feature gate is in pkg/stanza's README.
    """
    retry = {"enabled": True, "initial_interval": "1s", "max_interval": "5s", "max_elapsed_time": 0}
    served = {"prometheus": {"host": "127.0.0.1", "port": place.metrics_port}}
    config = {
        "extensions": {"file_storage": {"directory": str(place.state), "fsync": True}},
        "receivers": {
            "filelog": {
                "include": [f"{place.logs}/*.ndjson"],
                "start_at": "beginning",
                "storage": "file_storage",
                "retry_on_failure": retry,
            }
        },
        "exporters": {
            "otlphttp": {
                "endpoint": place.url,
                "encoding": "json",
                "compression": "none",
                "sending_queue": {"storage": "file_storage", "queue_size": 10_000},
                "retry_on_failure": retry,
            }
        },
        "service": {
            "extensions": ["file_storage"],
            "telemetry": {
                "metrics": {"level": "basic", "readers": [{"pull": {"exporter": served}}]}
            },
            "pipelines": {"logs": {"receivers": ["filelog"], "exporters": ["otlphttp"]}},
        },
    }
    path = place.data / "otelcol.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    gate = "--feature-gates=stanza.synchronousLogEmitter"
    program = subprocess.run(
        [SCRIPT, "path"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return [program, "--config", f"file:{path}", gate], {}


def _otelcol_done(place: Place) -> bool:
    """Whether it runs and its queue, which holds what is being sent, is empty."""
    try:
        return scrape(place.metrics_port, "otelcol_exporter_queue_size") == 0
    except OSError:
        return False


TIDEGATE: Final = Shipper(
    "Tidegate",
    "docs/explanation/event-pipeline.md",
    _tidegate,
    "logs-tidegate.request-{}",
    _tidegate_done,
)
SHIPPERS: Final = {
    "tidegate": TIDEGATE,
    "otelcol": Shipper(
        "OpenTelemetry Collector 0.165",
        "opentelemetry.io/docs/collector/resiliency",
        _otelcol,
        "{}",
        _otelcol_done,
        otlp=True,
    ),
}
