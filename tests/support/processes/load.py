"""A load that is sent by the load generator, as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.checkout import ROOT

# 98: requests were sent late, which on a busy machine is no fault of what is tested. 130: it was stopped.
SENT: Final = frozenset({0, 98, 130})


@dataclass(frozen=True)
class Load:
    """A load that is being sent."""

    sender: subprocess.Popen[bytes]
    folder: Path

    def summary(self, seconds: float = 600) -> dict[str, Any]:
        """Wait until all responses have arrived; returns the summary."""
        code = self.sender.wait(seconds)
        assert code in SENT, (self.folder / "load.log").read_text()
        return dict(json.loads((self.folder / "runs" / "latest" / "summary.json").read_text()))

    def stop(self) -> dict[str, Any]:
        """Send nothing more; returns the summary when the outstanding responses have arrived."""
        self.sender.send_signal(signal.SIGINT)
        return self.summary()


@contextmanager
def load(
    folder: Path,
    url: str,
    *options: str,
    environment: Mapping[str, str] | None = None,
    **scenario: Any,
) -> Iterator[Load]:
    """Send a load with these options of `loadgen run` while the block runs; see `write_scenario`."""
    path = write_scenario(folder, **scenario)
    command = [sys.executable, "-m", "tidegate.loadgen", "run", str(path), "--url", url]
    with (
        (folder / "load.log").open("wb") as log,
        subprocess.Popen(
            [*command, *options, "--out", str(folder / "runs")],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
        ) as sender,
    ):
        try:
            yield Load(sender, folder)
        finally:  # also if the test fails
            sender.kill()


def write_scenario(
    folder: Path,
    phases: str,
    works: Sequence[str] = ("light", "medium", "heavy"),
    arrivals: str = "even",
) -> Path:
    """Write the file of a scenario; phases are TOML's inline tables, as `constant` makes one."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = ", ".join(f"{work} = 1" for work in works)
    path = folder / "scenario.toml"
    path.write_text(
        f'name = "test"\narrivals = "{arrivals}"\nweights = {{ {weights} }}\nphases = [{phases}]\n'
    )
    return path


def constant(seconds: float, rate: float) -> str:
    """A phase of a constant rate of requests a second."""
    return f'{{ kind = "constant", seconds = {seconds}, rate = {rate} }}'


def served(summary: dict[str, Any]) -> int:
    """How many requests the replicas answered; nothing failed but what the gateway refused.

    It may refuse one of 20: on a machine that other tests share, the maximum of replicas can be too slow.
    """
    refused = int(summary["errors"].get("HTTP 503", 0))
    assert (summary["answered"], summary["failed"]) == (summary["planned"], refused), summary
    assert refused <= summary["planned"] / 20, summary
    return int(summary["planned"]) - refused
