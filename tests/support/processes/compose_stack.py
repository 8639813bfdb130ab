"""The stack of docker-compose.yml on a real engine, with the images of scripts/docker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import elasticsearch

from support import prometheus_queries
from support.checkout import ROOT
from support.components import unavailable
from support.eventually import eventually

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
        return subprocess.run(
            ["docker", "compose", "-p", self.project, *files, *arguments],
            cwd=ROOT,
            env=os.environ | SETTINGS | ports | variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def up(self) -> None:
        self.run("up", "--detach", "--wait", "--no-build", "--quiet-pull")

    def containers(self, service: str = "", *, every: bool = False) -> list[dict[str, Any]]:
        """The output of `docker inspect` for the containers of the project or of one service."""
        labels = [f"com.docker.compose.project={self.project}"]
        labels += [f"com.docker.compose.service={service}"] if service else []
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        ids = docker("ps", "-q", *(["-a"] if every else []), *filters).split()
        # A container may be removed between the two calls.
        found = subprocess.run(["docker", "inspect", *ids], capture_output=True, check=False)
        return list(json.loads(found.stdout or b"[]"))

    def replicas(self) -> list[dict[str, Any]]:
        return self.containers("model")

    def kill_replica(self) -> None:
        """Kill a replica; another one if the resizer removes that one meanwhile."""

        def killed() -> bool:
            done = subprocess.run(
                ["docker", "kill", self.replicas()[0]["Id"]], capture_output=True, check=False
            )
            return done.returncode == 0

        eventually(killed, "a replica is killed", 30)

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

    @contextmanager
    def load(self, folder: Path, scenario: str) -> Iterator[subprocess.Popen[str]]:
        """Send a load: a built-in scenario, or a file of `constant`. `loaded` waits until it ends."""
        folder.mkdir(exist_ok=True)
        with subprocess.Popen(
            [
                *(sys.executable, "-m", "tidegate.loadgen", "run", scenario),
                *("--url", self.url("GATEWAY"), "--prometheus", self.url("PROMETHEUS")),
                *("--rows", str(self.rows(folder)), "--out", str(folder / "runs")),
            ],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as sent:
            try:
                yield sent
            finally:  # also if the test fails
                sent.kill()

    def rows(self, folder: Path) -> Path:
        """Rows that the model accepts, from its image."""
        path = folder / "samples.ndjson"
        image = ("--entrypoint", "cat", "tidegate/service:0.1.0")
        path.write_text(docker("run", "--rm", *image, "/artefacts/flights/samples.ndjson"))
        return path

    def logs(self) -> str:
        return self.call("logs", "--tail", "15", "--no-color").stdout


def docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def constant(folder: Path, seconds: int, rate: int) -> str:
    """Write a scenario with a constant request rate; returns its path."""
    folder.mkdir(exist_ok=True)
    path = folder / "scenario.toml"
    path.write_text(
        'name = "constant"\ndescription = "Constant."\narrivals = "even"\n'
        "weights = { light = 1, medium = 1, heavy = 1 }\n"
        f'phases = [{{ kind = "constant", seconds = {seconds}, rate = {rate} }}]\n'
    )
    return str(path)


def loaded(load: subprocess.Popen[str], folder: Path, seconds: float = 600) -> dict[str, Any]:
    """Wait until the load ends; returns its summary."""
    output, _ = load.communicate(timeout=seconds)
    # 98: requests were sent late. On a busy machine this is not a failure of the stack.
    assert load.returncode in {0, 98}, output
    return dict(json.loads((folder / "runs" / "latest" / "summary.json").read_text()))


def served(summary: dict[str, Any]) -> int:
    """How many requests the replicas answered; nothing failed but what the gateway refused.

    It may refuse one of 20: on a machine that other tests share, the maximum of replicas can be too slow.
    """
    refused = int(summary["errors"].get("HTTP 503", 0))
    assert (summary["answered"], summary["failed"]) == (summary["planned"], refused), summary
    assert refused <= summary["planned"] / 20, summary
    return int(summary["planned"]) - refused


def require_images() -> None:
    if not shutil.which("docker"):
        unavailable("docker is not installed: see scripts/docker")
    ready = subprocess.run(
        ["docker", "image", "inspect", *IMAGES], capture_output=True, check=False
    )
    if ready.returncode:
        unavailable(
            "the Docker engine or the images are missing: run `scripts/docker images` (minutes)"
        )
