"""What real Compose makes of docker-compose.yml: what it builds, and what starts after what."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from integration.compose.project import ROOT, Project, a_project, compose_program, docker, until

pytestmark = pytest.mark.integration


def services() -> dict[str, dict[str, Any]]:
    """Those that `docker compose up` starts."""
    done = subprocess.run(
        [compose_program("5"), "config", "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout)["services"])


@pytest.fixture(params=["5", "2"])
def bare(request: pytest.FixtureRequest, image: str, tmp_path: Path) -> Iterator[Project]:
    """A project without services, for either version of Compose."""
    with a_project(tmp_path / "project", image, request.param) as project:
        yield project


def write(project: Project, found: dict[str, dict[str, Any]]) -> None:
    text = json.dumps({"name": project.name, "services": found})
    (project.folder / "compose.yml").write_text(text)


def test_a_plain_up_builds_what_has_changed_since(bare: Project) -> None:
    policies = {one["pull_policy"] for one in services().values() if "build" in one}
    assert len(policies) == 1
    service = {
        "image": f"{bare.name}:0.1.0",
        "build": {"context": "."},
        "pull_policy": policies.pop(),
        "command": ["/usr/bin/cat", "/version"],
        "volumes": ["/usr:/usr:ro"],
    }
    write(bare, {"one": service})
    label = f"test={bare.name}"
    dockerfile = f"FROM {bare.image}\nLABEL {label}\nCOPY version /\n"
    (bare.folder / "Dockerfile").write_text(dockerfile)
    version = bare.folder / "version"
    try:
        version.write_text("before\n")
        assert "before" in bare.run("up")
        version.write_text("after\n")
        assert "before" in bare.run("up", "--no-build"), "without a network"
        assert "after" in bare.run("up")
    finally:
        bare.run("down", "--rmi", "all")
        docker("image", "prune", "--force", "--filter", f"label={label}")


def test_one_view_that_fails_takes_no_other_down(project: Project) -> None:
    once, lasting = {}, {}
    for name, one in services().items():
        stand_in = {
            "image": project.image,
            "init": True,
            "volumes": ["/usr:/usr:ro"],
            "depends_on": one.get("depends_on", {}),
        }
        if one["restart"] == "no":
            once[name] = stand_in | {"command": ["/usr/bin/true"]}
        else:
            health = {"test": ["CMD", "/usr/bin/true"], "interval": "1s"}
            lasting[name] = stand_in | {"command": ["/usr/bin/sleep", "inf"], "healthcheck": health}
    # As it does where Kibana never comes up: long after the others.
    fails = "until [ -e /tmp/failed ]; do sleep 0.1; done; exit 2"
    failing = once["kibana-setup"] | {"command": ["/usr/bin/bash", "-c", fails]}
    write(project, lasting | once | {"kibana-setup": failing})

    def running() -> set[str]:
        name = '{{.Label "com.docker.compose.service"}}'
        label = f"label=com.docker.compose.project={project.name}"
        return set(docker("ps", "--format", name, "--filter", label).split())

    with subprocess.Popen(
        [project.compose, "up", "--wait", "--wait-timeout", "120"],
        cwd=project.folder,
        env=os.environ,
        text=True,
        stderr=subprocess.PIPE,
    ) as up:
        try:
            until(lambda: running() == (lasting.keys() - {"ready"}) | {"kibana-setup"})
            (setup,) = project.containers("kibana-setup")
            docker("exec", setup, "/usr/bin/touch", "/tmp/failed")
            _, said = up.communicate(timeout=60)
        finally:
            up.kill()
    assert up.returncode != 0
    assert "kibana-setup" in said
    assert running() == lasting.keys() - {"ready"}
    write(project, lasting | once)
    project.run("up", "--wait", "--wait-timeout", "120")
    assert running() == set(lasting)
