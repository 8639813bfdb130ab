"""What a shadow and kept rows cost: CPU of one replica per request, with and without, in pairs.

`python -m bench.shadow CANDIDATE [--requests 1500] [--pairs 5]` prints a table. Each pair is one process
after the other with the same requests; the figure is the median of the pairs' differences. CPU is that of
the whole process, its worker thread included: what is done after the answer is not free, only not waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
from rich.console import Console
from rich.table import Table
from starlette.types import Message

from tidegate.service.http.app import create_app
from tidegate.service.model.artefact import SAMPLES, load
from tidegate.settings import Settings

WARM: Final = 200
WAYS: Final = ("plain", "shadow 10 %", "shadow 100 %", "rows 100 %")


def settings_of(way: str, artefact: Path, candidate: Path, folder: Path) -> Settings:
    """The settings of one way."""
    share = {"shadow 10 %": 0.1, "shadow 100 %": 1.0}.get(way, 0.0)
    return Settings(
        model={"path": artefact, "shadow_path": candidate, "shadow_share": share},
        drift={"keep_rows_share": 1.0 if way == "rows 100 %" else 0.0},
        stack={"data_dir": folder},
    )


async def measure(settings: Settings, requests: int, rows: int) -> tuple[float, float]:
    """CPU microseconds a request, and the median of the times until its answer in microseconds."""
    app = create_app(settings)
    instances = [
        orjson.loads(line)
        for line in (settings.model.path / SAMPLES).read_bytes().splitlines()[:rows]
    ]
    body = orjson.dumps({"instances": instances})
    headers = {"content-type": "application/json"}
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
    running = asyncio.create_task(app(scope, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    await outgoing.get()
    replica = app.state.replica
    wanted = settings.model.shadow_share > 0
    while replica.phase == "loading" or (  # noqa: ASYNC110 (it has no event)
        wanted and replica.after_response.shadow is None
    ):
        await asyncio.sleep(0.01)
    transport = httpx.ASGITransport(app)
    times: list[float] = []
    async with httpx.AsyncClient(transport=transport, base_url="http://flights") as client:
        for number in range(WARM + requests):
            if number == WARM:
                times.clear()
                start_cpu = time.process_time()
            start = time.perf_counter()
            answer = await client.post("/predict", content=body, headers=headers)
            times.append(time.perf_counter() - start)
            assert answer.status_code == 200, answer.text
    await incoming.put({"type": "lifespan.shutdown"})  # does what is left in the line
    await running
    return (time.process_time() - start_cpu) / requests * 1e6, statistics.median(times) * 1e6


def child(way: str, options: argparse.Namespace) -> tuple[float, float]:
    """Measure one way in a process of its own."""
    arguments = [str(options.candidate), "--artefact", str(options.artefact), "--way", way]
    arguments += ["--requests", str(options.requests), "--rows", str(options.rows)]
    command = [sys.executable, "-m", "bench.shadow", *arguments]
    told = orjson.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return told[0], told[1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--artefact", type=Path, default=Path("artefacts/flights"))
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--way", choices=WAYS)
    options = parser.parse_args()
    if options.way:
        with tempfile.TemporaryDirectory() as folder:
            made = settings_of(options.way, options.artefact, options.candidate, Path(folder))
            print(orjson.dumps(asyncio.run(measure(made, options.requests, options.rows))).decode())
        return
    console = Console()
    version = load(options.artefact).manifest.version
    console.print(
        f"flights {version}, {options.rows} row(s) a request; {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, "
        f"{datetime.now(UTC).date().isoformat()}; µs, median of {options.pairs} pairs"
    )
    table = Table("", "CPU a request", "more than plain", "until its answer", "more than plain")
    plain: list[tuple[float, float]] = []
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS[1:]}
    for _ in range(options.pairs):
        plain.append(child(WAYS[0], options))
        for way, measured in found.items():
            measured.append(child(way, options))
    table.add_row(WAYS[0], *_figures(plain, None))
    for way, measured in found.items():
        table.add_row(way, *_figures(measured, plain))
    console.print(table)


def _figures(
    measured: list[tuple[float, float]], plain: list[tuple[float, float]] | None
) -> list[str]:
    shown: list[str] = []
    for place in (0, 1):
        shown.append(f"{statistics.median(one[place] for one in measured):.0f}")
        if plain is None:
            shown.append("")
            continue
        pairs = zip(measured, plain, strict=True)
        more = statistics.median(one[place] - other[place] for one, other in pairs)
        shown.append(f"{more:+.0f}")
    return shown


if __name__ == "__main__":
    main()
