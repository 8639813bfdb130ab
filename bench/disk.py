"""How large the data folder becomes under a steady load, beside the bound of each of its parts.

Starts a stack of its own (simulated device, embedded store), sends requests at a constant rate for some
minutes, and prints every ten seconds what lies in the data folder. Ends by itself, and with 1 if a part is
beyond its bound.

    python bench/disk.py                                   200 requests a second for 10 minutes
    python bench/disk.py --seconds 60 --rate 50 --keep-bytes 2000000

The bounds:

- event files: `collector.keep_bytes` of delivered ones; beside them, for each writer, the one that it
  writes (`telemetry.file_bytes`), what is not delivered yet, and what one delivery may hold
  (`collector.batch_bytes`);
- raw output of the programs: twice 10 MiB a program;
- the collector's own: two files of the quarantine of 64 MiB each.

The store has no bound in bytes: it keeps every event for `store.embedded.retention`. Prometheus has its own
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

sys.path[0] = str(Path(__file__).parents[1])  # or bench/loadgen.py would hide the package

from bench.running.stack import constant_load, own_stack  # noqa: E402
from tidegate.collector import file_names, quarantine  # noqa: E402
from tidegate.loadgen.plan.scenario import Weights  # noqa: E402
from tidegate.settings import Settings  # noqa: E402
from tidegate.stack.processes.process import OUTPUT_BYTES  # noqa: E402
from tidegate.stack.supervisor.programs import url  # noqa: E402

EVERY_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 900
PARTS: Final = ("logs", "run", "collector", "store", "prometheus")
MIB: Final = 2**20
REPLICAS: Final = 2
_LAG = re.compile(r"^tidegate_collector_lag_bytes (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Look:
    """The data folder at a moment: the bytes of each part, and the bounds of those that have one."""

    seconds: float
    sizes: dict[str, int]
    bounds: dict[str, int]

    @property
    def beyond(self) -> list[str]:
        """The parts that are larger than they may be."""
        return [part for part, bound in self.bounds.items() if self.sizes[part] > bound]

    def __str__(self) -> str:
        cells = [
            f"{self.sizes[part] / MIB:8.1f}"
            + (f" ≤{self.bounds[part] / MIB:7.1f}" if part in self.bounds else "")
            for part in PARTS
        ]
        return f"{self.seconds:6.0f}" + "".join(cells)


HEADER: Final = (
    f"{'s':>6}{'event files':>17}{'raw output':>17}{'collector':>17}{'store':>8}{'Prom.':>8}   MiB"
)


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder; what is deleted meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def look(settings: Settings, seconds: float, lag_bytes: int) -> Look:
    """The data folder now."""
    data = settings.stack.data_dir
    sizes = {part: size_of(data / part) for part in PARTS}
    parsed = (file_names.parse(path.name) for path in settings.log_dir.iterdir())
    writers = {one.writer for one in parsed if one is not None}
    programs = list((data / "run").glob("*.log"))
    kept = settings.collector.keep_bytes + settings.collector.batch_bytes + lag_bytes
    bounds = {
        "logs": kept + len(writers) * settings.telemetry.file_bytes,
        "run": 2 * OUTPUT_BYTES * len(programs),
        "collector": 2 * quarantine.FILE_BYTES + MIB,
    }
    return Look(seconds, sizes, bounds)


def lag_bytes(port: int) -> int:
    """What the collector has yet to deliver, as it says itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        found = _LAG.search(answer.read().decode())
    return int(float(found[1])) if found else 0


async def run(arguments: argparse.Namespace) -> int:
    """Load the stack, and look; the exit code."""
    sections: dict[str, dict[str, Any]] = {
        "replicas": {"start": REPLICAS, "min": REPLICAS, "max": REPLICAS},
        "slots": {"per_replica": 4},
        "device": {"simulated": True, "light_seconds": 0.005},
        "collector": {"keep_bytes": arguments.keep_bytes},
        "telemetry": {"file_bytes": arguments.file_bytes},
    }
    beyond: set[str] = set()
    async with own_stack(0, **sections) as supervisor:
        settings = supervisor.settings
        gateway = url(settings.stack.host, settings.gateway.port)
        print(HEADER, flush=True)
        async with constant_load(gateway, arguments.rate, Weights(light=1)) as recording:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < arguments.seconds:
                await asyncio.sleep(min(EVERY_SECONDS, arguments.seconds - passed))
                lag = await asyncio.to_thread(lag_bytes, settings.collector.metrics_port)
                now = await asyncio.to_thread(look, settings, time.monotonic() - began, lag)
                print(now, flush=True)
                beyond.update(now.beyond)
        del recording
    if beyond:
        print(f"beyond its bound: {', '.join(sorted(beyond))}")
        return 1
    print("each part stayed within its bound")
    return 0


def main() -> int:
    """Read the arguments and run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=600, help=f"at most {LONGEST_SECONDS}")
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--keep-bytes", type=int, default=8 * MIB, help="collector.keep_bytes")
    parser.add_argument("--file-bytes", type=int, default=MIB, help="telemetry.file_bytes")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= LONGEST_SECONDS:
        parser.error(f"--seconds must be from 1 to {LONGEST_SECONDS}")
    print(f"{platform.machine()}, Python {platform.python_version()}: {vars(arguments)}")
    return asyncio.run(run(arguments))


if __name__ == "__main__":
    sys.exit(main())
