"""The stack of docker-compose.yml on a real engine, with the images of scripts/docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import elasticsearch

from support import commands, prometheus_queries
from support.checkout import ROOT
from support.components import unavailable
from support.eventually import eventually
from support.processes.compose_project import containers, docker
from support.processes.load import Load, load

PUBLISHED: Final = ("GATEWAY", "ELASTICSEARCH", "PROMETHEUS", "CONSOLE")
FILES: Final = ("docker-compose.yml", "tests/e2e/compose/compose.test.yml")
IMAGES: Final = (
    *("tidegate/tidegate:0.1.0", "tidegate/service:0.1.0", "tidegate/model:0.1.0"),
    *("tidegate/loadgen:0.1.0", "desk:1.0.0"),
    *("tidegate-test/elasticsearch", "tidegate-test/prometheus", "tidegate-test/alertmanager"),
)
# With the simulated device a few requests per second fill a replica. The policy scales in within the timeout
# of a test, so it has no reserve for bursts, which would last an hour longer.
SETTINGS: Final = {
    "TIDEGATE_DEVICE__SIMULATED": "true",
    "TIDEGATE_AUTOSCALER__TICK_SECONDS": "2",
    "TIDEGATE_AUTOSCALER__POLICY": ("sloq:down_seconds=20,coverage=0"),
    "TIDEGATE_REPLICAS__MAX": "5",
}


@dataclass(frozen=True)
class Compose:
    """A Compose project, controlled by the `docker compose` command."""

    project: str
    ports: dict[str, int]
    files: tuple[str, ...] = FILES

    def run(self, *arguments: str, seconds: float = 300) -> str:
        """Run `docker compose …`, which must succeed; returns its output."""
        done = self.call(*arguments, seconds=seconds)
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self.logs()}"
        return done.stdout

    def call(
        self, *arguments: str, seconds: float = 300, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose …` with additional variables."""
        files = [part for name in self.files for part in ("-f", name)]
        ports = {f"{name}_PORT": str(port) for name, port in self.ports.items()}
        return commands.run(
            *("docker", "compose", "-p", self.project, *files, *arguments),
            cwd=ROOT,
            env=os.environ | SETTINGS | ports | variables,
            timeout=seconds,
        )

    def up(self) -> None:
        self.run("up", "--detach", "--wait", "--no-build", "--quiet-pull")

    def containers(self, service: str = "", *, every: bool = False) -> list[dict[str, Any]]:
        return containers(self.project, service, every=every)

    def replicas(self) -> list[dict[str, Any]]:
        return self.containers("model")

    def kill_replica(self) -> None:
        """Kill a replica; another one if the resizer removes that one meanwhile."""
        eventually(
            lambda: commands.succeeds("docker", "kill", self.replicas()[0]["Id"]),
            "a replica is killed",
            30,
        )

    def secrets(self, consumer: str) -> dict[str, str]:
        """The secrets of a consumer, by name."""
        volume = f"{self.project}_secrets-{consumer}:/s:ro"
        text = docker("run", "--rm", "-v", volume, "tidegate/base:bookworm", "grep", "-r", "", "/s")
        lines = (line.partition(":") for line in text.splitlines())
        return {path.rpartition("/")[2]: value for path, _, value in lines}

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def prometheus(self, path: str) -> Any:
        return prometheus_queries.read(self.url("PROMETHEUS"), path)

    def value(self, expression: str) -> float:
        """The first value of a Prometheus expression, or 0."""
        return prometheus_queries.value(self.url("PROMETHEUS"), expression) or 0.0

    def elasticsearch(
        self, user: str = "elastic", secret: str = "elastic"
    ) -> elasticsearch.Elasticsearch:
        password = self.secrets("setup")[secret]
        return elasticsearch.Elasticsearch(self.url("ELASTICSEARCH"), basic_auth=(user, password))

    def load(self, folder: Path, phases: str) -> AbstractContextManager[Load]:
        """Send a load through the gateway while the block runs."""
        folder.mkdir(exist_ok=True)
        return load(
            folder,
            self.url("GATEWAY"),
            *("--prometheus", self.url("PROMETHEUS"), "--rows", str(self.rows(folder))),
            phases=phases,
        )

    def rows(self, folder: Path) -> Path:
        """Rows that the model accepts, from its image."""
        path = folder / "samples.ndjson"
        image = ("--entrypoint", "cat", "tidegate/service:0.1.0")
        path.write_text(docker("run", "--rm", *image, "/artefacts/flights/samples.ndjson"))
        return path

    def logs(self) -> str:
        return self.call("logs", "--tail", "15", "--no-color").stdout


def require_images() -> None:
    if not shutil.which("docker"):
        unavailable("docker is not installed: see scripts/docker")
    if not commands.succeeds("docker", "image", "inspect", *IMAGES):
        unavailable(
            "the Docker engine or the images are missing: run `scripts/docker images` (minutes)"
        )
