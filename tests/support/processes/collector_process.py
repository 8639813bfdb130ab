"""A data folder, and collectors that work there as processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.ports import free_port
from support.scrape import scrape
from tidegate.events.event import Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.settings import load


class CollectorFolder:
    """The data folder `data` of a folder; the sections replace single settings of a fast collector."""

    def __init__(
        self, folder: Path, sections: Mapping[str, Mapping[str, Any]], namespace: str = "default"
    ) -> None:
        wanted: dict[str, dict[str, Any]] = {
            "stack": {"data_dir": folder / "data"},
            "collector": {"metrics_port": free_port(), "poll_seconds": 0.02, "batch_events": 200},
            "service": {"namespace": namespace},
        }
        for name, values in sections.items():
            wanted.setdefault(name, {}).update(values)
        self.settings = load(**wanted)
        self.namespace = namespace
        self.output = folder / "output"
        self._environment: dict[str, str] = {}
        for section, values in wanted.items():
            for name, value in values.items():
                text = json.dumps(value, default=str) if isinstance(value, dict) else str(value)
                self._environment[f"TIDEGATE_{section}__{name}".upper()] = text

    def start(self, *, own_session: bool = False) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tidegate", "collector"],
                env=os.environ | self._environment,
                stdout=output,
                stderr=output,
                start_new_session=own_session,
            )

    def writer(self, node: str = "flights-1", file_bytes: int = 2**20) -> EventWriter:
        return EventWriter(self.settings.log_dir, node, file_bytes)

    def write(self, writer: EventWriter, numbers: range) -> None:
        origin = Origin("flights", "1.2.3", "local", writer.node, self.namespace)
        for number in numbers:
            fields, now_ns = {"tidegate": {"rows": number}}, time.time_ns()
            writer.write(
                make_event(origin, "request", f"number {number}", unix_ns=now_ns, fields=fields)
            )

    def metric(self, name: str) -> float:
        found = scrape(self.settings.collector.metrics_port, f"tidegate_collector_{name}")
        assert found is not None
        return found


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a collector; returns its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=60)
