"""Compares ways to add replicas in Docker Compose: Compose's own command and copies of a container.

Prints a table. Needs a Docker engine, as the tests in tests/integration/compose do, and for two
of its rows Compose 2 (`scripts/docker compose-2`).

    PYTHONPATH=tests .venv/bin/python bench/compose_scaling.py
"""

from __future__ import annotations

import asyncio
import io
import os
import platform
import resource
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from support.processes.compose_project import SERVICE, Project, compose_project, docker
from tidegate.events.event import Origin
from tidegate.resizer.compose.containers import parse_container
from tidegate.resizer.compose.engine import open_engine
from tidegate.resizer.compose.observer import ComposeService
from tidegate.resizer.compose.operations import ContainerOperations
from tidegate.runtime.event_log import EventLog, StreamWriter

RUNS = 5
SOCKET = Path("/var/run/docker.sock")
SHELL = {"REPLICA_KEY": "of the user's shell"}
Grow = Callable[[Project], None]


def by_compose(folder: Callable[[Project], Path], shell: dict[str, str]) -> Grow:
    """Compose's command in a folder, with these variables of the user's shell."""

    def grow(project: Project) -> None:
        subprocess.run(
            [
                project.compose,
                *["up", "--detach", "--no-deps", "--no-recreate", "--scale"],
                f"{SERVICE}=5",
                SERVICE,
            ],
            cwd=folder(project),
            env={**os.environ, **shell},
            check=True,
            capture_output=True,
        )

    return grow


def by_copies(project: Project) -> None:
    """Four copies in parallel, through the API of the engine."""
    asyncio.run(_copy(project))


async def _copy(project: Project) -> None:
    service = ComposeService(project.name, SERVICE)
    origin = Origin("bench", "0", "local", "bench", "default")
    event_log = EventLog(StreamWriter(io.BytesIO()), origin)
    async with open_engine(SOCKET) as engine:
        await engine.choose_version()
        (found,) = await engine.replicas(service.project, service.name)
        operations = ContainerOperations(engine, service, event_log, 30.0)
        template = parse_container(found)
        await asyncio.gather(*(operations.create(template, number) for number in range(2, 6)))


def same_folder(project: Project) -> Path:
    """The project in the user's folder."""
    return project.folder


def other_folder(project: Project) -> Path:
    """The project in another folder, as in a container that mounts it at another path."""
    other = project.folder.with_name("elsewhere")
    shutil.copytree(project.folder, other, dirs_exist_ok=True)
    return other


def measure(image: str, version: str, grow: Grow) -> tuple[float, float, int, int]:
    """Seconds, client CPU seconds, replicas with the shell's variable, and replaced by the next `up`."""
    seconds, cpu = [], []
    for _ in range(RUNS):
        folder = Path(tempfile.mkdtemp(prefix="bench-compose-"))
        with compose_project(folder / "project", image, version) as project:
            text = (project.folder / "compose.yml").read_text()
            text = text.replace("/anonymous,", "./files:/files:ro,")
            (project.folder / "compose.yml").write_text(text)
            (project.folder / "files").mkdir()
            project.run("up", "--detach", env=SHELL)
            cpu_before, started_at = _cpu(), time.perf_counter()
            grow(project)
            seconds.append(time.perf_counter() - started_at)
            cpu.append(_cpu() - cpu_before)
            created = project.ids()
            assert len(created) == 5
            with_variable = sum(
                f"REPLICA_KEY={SHELL['REPLICA_KEY']}" in one["Config"]["Env"]
                for one in project.containers().values()
            )
            project.run("up", "--detach", "--scale", f"{SERVICE}=5", env=SHELL)
            replaced = len(set(created.values()) - set(project.ids().values()))
        shutil.rmtree(folder)
    return statistics.median(seconds), statistics.median(cpu), with_variable, replaced


def _cpu() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def main() -> None:
    """Measure each way and print the table."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("usr", "sbin", "tmp", "here", "files"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name in ("bin", "lib", "lib64"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(entry)
    image = f"tidegate-bench:{uuid.uuid4().hex[:8]}"
    subprocess.run(
        ["docker", "import", "-", image], input=packed.getvalue(), check=True, capture_output=True
    )
    engine = docker("version", "--format", "{{.Server.Version}}")
    print(f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"Docker {engine}; 1 → 5 replicas, median of {RUNS}\n")
    print(
        "| way | seconds | client's CPU s | with the shell's variable | replaced by the next up |"
    )
    print("| --- | --- | --- | --- | --- |")
    try:
        for name, version, grow in (
            ("Compose 5, as the user", "5", by_compose(same_folder, SHELL)),
            ("Compose 5, without the shell", "5", by_compose(same_folder, {})),
            ("Compose 5, in another folder", "5", by_compose(other_folder, SHELL)),
            ("Compose 2, as the user", "2", by_compose(same_folder, SHELL)),
            ("Compose 2, without the shell", "2", by_compose(same_folder, {})),
            ("copies", "5", by_copies),
        ):
            seconds, cpu, with_variable, replaced = measure(image, version, grow)
            print(
                f"| {name} | {seconds:.2f} | {cpu:.2f} | {with_variable} of 5 | {replaced} of 5 |"
            )
    finally:
        docker("rmi", "--force", image, check=False)


if __name__ == "__main__":
    main()
