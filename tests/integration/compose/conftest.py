"""A real Docker engine, real Compose, and an empty image: programs come from the host's /usr."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.components import unavailable
from support.eventually import eventually
from support.processes.compose_project import (
    Project,
    ResizerProcess,
    compose_project,
    docker,
    running_resizer,
)


@pytest.fixture(scope="session")
def docker_engine() -> str:
    """The version of the Docker engine; skips if none responds."""
    if not shutil.which("docker"):
        unavailable("docker is not installed")
    version = docker("version", "--format", "{{.Server.Version}}", check=False)
    return version or unavailable("no Docker engine responds")


@pytest.fixture(scope="session")
def image(docker_engine: str) -> Iterator[str]:
    """An image of links and empty folders."""
    del docker_engine
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in ("usr", "sbin", "tmp", "etc", "proc", "sys", "dev", "here"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name in ("bin", "lib", "lib64"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(entry)
    name = f"tidegate-test:{uuid.uuid4().hex[:8]}"
    subprocess.run(
        ["docker", "import", "-", name], input=packed.getvalue(), check=True, capture_output=True
    )
    yield name
    docker("rmi", "--force", name, check=False)


@pytest.fixture
def project(image: str, tmp_path: Path) -> Iterator[Project]:
    with compose_project(tmp_path / "project", image) as project:
        yield project


@pytest.fixture
def resizer(project: Project, tmp_path: Path) -> Iterator[ResizerProcess]:
    """A running resizer of a running project."""
    project.run("up", "--detach")
    with running_resizer(project.name, tmp_path) as resizer:
        eventually(lambda: resizer.has(1))
        yield resizer
