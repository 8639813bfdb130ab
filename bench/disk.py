"""Size of the data folder under constant load, compared with the limit of each part.

Starts a stack (simulated device, embedded store), sends requests at a constant rate for some minutes, and
prints the size of each part of the data folder every ten seconds. The exit code is 1 if a part exceeds its
limit.

    python bench/disk.py                                   200 requests per second for 10 minutes
    python bench/disk.py --seconds 60 --rate 50 --keep-bytes 2000000

The limits:

- event files: `collector.keep_bytes` of delivered files, plus the open file of each writer
  (`telemetry.file_bytes`), the undelivered bytes, and one batch (`collector.batch_bytes`);
- raw output of the programs: twice 10 MiB per program;
- files of the collector: two quarantine files of 64 MiB each.

The store has no limit in bytes: it retains events for `store.embedded.retention`. Prometheus has its own
retention.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import re
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path[0] = str(Path(__file__).parents[1])  # otherwise bench/loadgen.py would hide the package

from bench.running.stack import constant_load, own_stack  # noqa: E402
from tidegate.collector import file_names, quarantine  # noqa: E402
from tidegate.loadgen.plan.scenario import Weights  # noqa: E402
from tidegate.settings import Settings  # noqa: E402
from tidegate.stack.processes.process import OUTPUT_BYTES  # noqa: E402
from tidegate.stack.supervisor.programs import url  # noqa: E402

INTERVAL_SECONDS: Final = 10.0
MAX_SECONDS: Final = 900
PARTS: Final = ("logs", "run", "collector", "store", "prometheus")
MIB: Final = 2**20
REPLICAS: Final = 2
_LAG = re.compile(r"^tidegate_collector_lag_bytes (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class FolderSizes:
    """The sizes of the parts of the data folder at one time, and their limits."""

    seconds: float
    sizes: dict[str, int]
    limits: dict[str, int]

    @property
    def exceeded(self) -> list[str]:
        """The parts that exceed their limit."""
        return [part for part, limit in self.limits.items() if self.sizes[part] > limit]

    def __str__(self) -> str:
        cells = [
            f"{self.sizes[part] / MIB:8.1f}"
            + (f" ≤{self.limits[part] / MIB:7.1f}" if part in self.limits else "")
            for part in PARTS
        ]
        return f"{self.seconds:6.0f}" + "".join(cells)


HEADER: Final = (
    f"{'s':>6}{'event files':>17}{'raw output':>17}{'collector':>17}{'store':>8}{'Prom.':>8}   MiB"
)


def size_of(folder: Path) -> int:
    """Return the total size of the files below a folder; files that are deleted meanwhile are ignored."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def measure(settings: Settings, seconds: float, lag_bytes: int) -> FolderSizes:
    """Return the current sizes of the data folder."""
    data = settings.stack.data_dir
    sizes = {part: size_of(data / part) for part in PARTS}
    parsed = (file_names.parse(path.name) for path in settings.log_dir.iterdir())
    writers = {one.writer for one in parsed if one is not None}
    programs = list((data / "run").glob("*.log"))
    retained = settings.collector.keep_bytes + settings.collector.batch_bytes + lag_bytes
    limits = {
        "logs": retained + len(writers) * settings.telemetry.file_bytes,
        "run": 2 * OUTPUT_BYTES * len(programs),
        "collector": 2 * quarantine.FILE_BYTES + MIB,
    }
    return FolderSizes(seconds, sizes, limits)


def lag_bytes(port: int) -> int:
    """Return the undelivered bytes, from the metrics of the collector."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        found = _LAG.search(answer.read().decode())
    return int(float(found[1])) if found else 0


async def run(arguments: argparse.Namespace) -> int:
    """Run the stack under load and print the sizes; return the exit code."""
    sections: dict[str, dict[str, Any]] = {
        "replicas": {"start": REPLICAS, "min": REPLICAS, "max": REPLICAS},
        "slots": {"per_replica": 4},
        "device": {"simulated": True, "light_seconds": 0.005},
        "collector": {"keep_bytes": arguments.keep_bytes},
        "telemetry": {"file_bytes": arguments.file_bytes},
    }
    exceeded: set[str] = set()
    async with own_stack(0, **sections) as supervisor:
        settings = supervisor.settings
        gateway = url(settings.stack.host, settings.gateway.port)
        print(HEADER, flush=True)
        async with constant_load(gateway, arguments.rate, Weights(light=1)) as recording:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < arguments.seconds:
                await asyncio.sleep(min(INTERVAL_SECONDS, arguments.seconds - passed))
                lag = await asyncio.to_thread(lag_bytes, settings.collector.metrics_port)
                now = await asyncio.to_thread(measure, settings, time.monotonic() - began, lag)
                print(now, flush=True)
                exceeded.update(now.exceeded)
        del recording
    if exceeded:
        print(f"limit exceeded: {', '.join(sorted(exceeded))}")
        return 1
    print("no part exceeded its limit")
    return 0


def main() -> int:
    """Parse the arguments and run the measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=600, help=f"at most {MAX_SECONDS}")
    parser.add_argument("--rate", type=int, default=200, help="requests per second")
    parser.add_argument("--keep-bytes", type=int, default=8 * MIB, help="collector.keep_bytes")
    parser.add_argument("--file-bytes", type=int, default=MIB, help="telemetry.file_bytes")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= MAX_SECONDS:
        parser.error(f"--seconds must be from 1 to {MAX_SECONDS}")
    print(f"{platform.machine()}, Python {platform.python_version()}: {vars(arguments)}")
    return asyncio.run(run(arguments))


if __name__ == "__main__":
    sys.exit(main())
