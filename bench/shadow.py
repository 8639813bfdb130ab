"""Cost of a shadow model and of stored rows: CPU time of a replica per request, with and without.

`python -m bench.shadow CANDIDATE [--requests 1500] [--pairs 5]` prints a table. The processes of a pair run
one after the other with the same requests; the result is the median of the differences. The CPU time is that
of the whole process, including the work after the response.
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
VARIANTS: Final = ("plain", "shadow 10 %", "shadow 100 %", "rows 100 %")


def settings_of(variant: str, artefact: Path, candidate: Path, folder: Path) -> Settings:
    """Return the settings of a variant."""
    share = {"shadow 10 %": 0.1, "shadow 100 %": 1.0}.get(variant, 0.0)
    return Settings(
        model={"path": artefact, "shadow_path": candidate, "shadow_share": share},
        drift={"keep_rows_share": 1.0 if variant == "rows 100 %" else 0.0},
        stack={"data_dir": folder},
    )


async def measure(settings: Settings, requests: int, rows: int) -> tuple[float, float]:
    """Return the CPU time per request and the median response time, in microseconds."""
    app = create_app(settings)
    asgi = app.state.replica.app
    instances = [
        orjson.loads(line)
        for line in (settings.model.path / SAMPLES).read_bytes().splitlines()[:rows]
    ]
    body = orjson.dumps({"instances": instances})
    headers = {"content-type": "application/json"}
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
    running = asyncio.create_task(asgi(scope, incoming.get, outgoing.put))
    await incoming.put({"type": "lifespan.startup"})
    await outgoing.get()
    replica, service = app.state.replica, app.state.service
    wanted = settings.model.shadow_share > 0
    while replica.lifecycle.phase == "loading" or (  # noqa: ASYNC110 (it has no event)
        wanted and service.after_response.shadow is None
    ):
        await asyncio.sleep(0.01)
    transport = httpx.ASGITransport(asgi)
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
    await incoming.put({"type": "lifespan.shutdown"})  # runs the remaining background work
    await running
    return (time.process_time() - start_cpu) / requests * 1e6, statistics.median(times) * 1e6


def child(variant: str, options: argparse.Namespace) -> tuple[float, float]:
    """Measure a variant in a separate process."""
    arguments = [str(options.candidate), "--artefact", str(options.artefact), "--way", variant]
    arguments += ["--requests", str(options.requests), "--rows", str(options.rows)]
    command = [sys.executable, "-m", "bench.shadow", *arguments]
    result = orjson.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result[0], result[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("candidate", type=Path)
    parser.add_argument("--artefact", type=Path, default=Path("artefacts/flights"))
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--way", choices=VARIANTS)
    options = parser.parse_args()
    if options.way:
        with tempfile.TemporaryDirectory() as folder:
            made = settings_of(options.way, options.artefact, options.candidate, Path(folder))
            print(orjson.dumps(asyncio.run(measure(made, options.requests, options.rows))).decode())
        return
    console = Console()
    version = load(options.artefact).manifest.version
    console.print(
        f"flights {version}, {options.rows} row(s) per request; {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, "
        f"{datetime.now(UTC).date().isoformat()}; µs, median of {options.pairs} pairs"
    )
    table = Table("", "CPU per request", "added", "response time", "added")
    plain: list[tuple[float, float]] = []
    found: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS[1:]}
    for _ in range(options.pairs):
        plain.append(child(VARIANTS[0], options))
        for variant, measured in found.items():
            measured.append(child(variant, options))
    table.add_row(VARIANTS[0], *_figures(plain, None))
    for variant, measured in found.items():
        table.add_row(variant, *_figures(measured, plain))
    console.print(table)


def _figures(
    measured: list[tuple[float, float]], plain: list[tuple[float, float]] | None
) -> list[str]:
    shown: list[str] = []
    for column in (0, 1):
        shown.append(f"{statistics.median(one[column] for one in measured):.0f}")
        if plain is None:
            shown.append("")
            continue
        pairs = zip(measured, plain, strict=True)
        more = statistics.median(one[column] - other[column] for one, other in pairs)
        shown.append(f"{more:+.0f}")
    return shown


if __name__ == "__main__":
    main()
