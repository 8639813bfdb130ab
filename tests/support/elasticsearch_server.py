"""A real Elasticsearch, started with scripts/elasticsearch."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.checkout import ROOT
from support.components import unavailable
from support.ports import free_port


@dataclass(frozen=True)
class ElasticsearchServer:
    """An Elasticsearch that a test may stop and start again; its data stays."""

    port: int
    folder: Path
    options: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._run("start", "--port", str(self.port), "--data", str(self.folder), *self.options)

    def stop(self) -> None:
        self._run("stop", "--data", str(self.folder))

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [ROOT / "scripts" / "elasticsearch", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(*options: str) -> Iterator[ElasticsearchServer]:
    """A real Elasticsearch with these options of `scripts/elasticsearch start`."""
    installed = subprocess.run(
        [ROOT / "scripts" / "elasticsearch", "install"], capture_output=True, text=True, check=False
    )
    if installed.returncode != 0:
        unavailable(f"Elasticsearch could not be installed: {installed.stderr.strip()}")
    # Not below pytest's own folder, which only its user may enter: Elasticsearch runs as another.
    folder = Path(tempfile.mkdtemp(prefix="tidegate-elasticsearch-"))
    folder.chmod(0o755)
    server = ElasticsearchServer(free_port(), folder, options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
