"""ONNX Runtime compared with scikit-learn's `predict_proba`, and the overhead of the service.

`python -m bench.inference [ARTEFACT]` prints microseconds. Both run on one thread. The times are the 10th
percentile of about two seconds of calls, which is the cost of a call on an idle core.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import joblib
import numpy as np
import orjson
from rich.console import Console
from rich.table import Table

from tidegate.service.model.artefact import MODEL, SAMPLES, load
from tidegate.service.model.features import Schema
from tidegate.service.model.predictor import load_predictor

ROWS: Final = (1, 32, 256)
SECONDS: Final = 2.0


def cost_us(times_ns: list[int]) -> float:
    """Return the 10th percentile of times in microseconds."""
    return statistics.quantiles(times_ns, n=10)[0] / 1000


def call_us(call: Callable[[], object]) -> float:
    """Return the duration of a call in microseconds."""
    call()
    times: list[int] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 20:
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return cost_us(times)


def thread_us(call: Callable[[], object]) -> float:
    """Return the duration of a call that an event loop runs in a thread, in microseconds."""

    async def measure() -> float:
        loop = asyncio.get_running_loop()
        times: list[int] = []
        with ThreadPoolExecutor(1) as threads:
            await loop.run_in_executor(threads, call)
            end = time.perf_counter() + SECONDS
            while time.perf_counter() < end:
                start = time.perf_counter_ns()
                await loop.run_in_executor(threads, call)
                times.append(time.perf_counter_ns() - start)
        return cost_us(times)

    return asyncio.run(measure())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artefact", type=Path, nargs="?", default=Path("artefacts/flights"))
    artefact = load(parser.parse_args().artefact)
    schema = Schema(artefact.manifest.features)
    predictor = load_predictor(artefact)
    classifier = joblib.load(artefact.path / MODEL)
    samples = [orjson.loads(line) for line in (artefact.path / SAMPLES).read_bytes().splitlines()]
    console = Console()
    console.print(
        f"{artefact.manifest.name} {artefact.manifest.version}; {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, "
        f"{datetime.now(UTC).date().isoformat()}; µs"
    )
    table = Table("rows", "scikit-learn", "ONNX", "in a thread", "parse", "check", "ratio")
    for rows in ROWS:
        instances = samples[:rows]
        body = orjson.dumps({"instances": instances})
        matrix = schema.encode(instances)
        expected = np.asarray(classifier.predict_proba(matrix))
        assert np.allclose(predictor.predict(matrix).probabilities, expected, atol=1e-5)
        slow = call_us(partial(classifier.predict_proba, matrix))
        fast = call_us(partial(predictor.predict, matrix))
        hop = thread_us(partial(predictor.predict, matrix))
        parse = call_us(partial(orjson.loads, body))
        check = call_us(partial(schema.encode, instances))
        figures = (f"{value:.1f}" for value in (slow, fast, hop, parse, check))
        table.add_row(str(rows), *figures, f"{slow / fast:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
