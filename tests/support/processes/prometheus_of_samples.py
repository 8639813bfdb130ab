"""A real Prometheus with samples of the past, which it did not scrape."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.commands import output
from tidegate.stack.prometheus import promtool_binary


@contextmanager
def prometheus_of_samples(program: str, folder: Path, port: int, samples: str) -> Iterator[str]:
    """Its URL while it runs on 127.0.0.1; the samples are in the format of OpenMetrics, with times."""
    (folder / "samples.txt").write_text(samples)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    command = ("tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data")
    output(promtool_binary(), *command, cwd=folder)
    process = subprocess.Popen(
        [
            program,
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        cwd=folder,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
