"""docker-compose.yml in real Compose: builds and the order of starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from support.commands import output
from support.eventually import eventually
from support.processes.compose_project import Project, compose_program, compose_project, docker

pytestmark = pytest.mark.integration


def services() -> dict[str, dict[str, Any]]:
    """The services that `docker compose up` starts."""
    config = output(compose_program("5"), "config", "--format", "json", cwd=ROOT)
    return dict(json.loads(config)["services"])


@pytest.fixture(params=["5", "2"])
def empty_project(request: pytest.FixtureRequest, image: str, tmp_path: Path) -> Iterator[Project]:
    """A project without services, for both versions of Compose."""
    with compose_project(tmp_path / "project", image, request.param) as project:
        yield project


def write(project: Project, found: dict[str, dict[str, Any]]) -> None:
    text = json.dumps({"name": project.name, "services": found})
    (project.folder / "compose.yml").write_text(text)


def test_up_rebuilds_a_changed_image(empty_project: Project) -> None:
    policies = {one["pull_policy"] for one in services().values() if "build" in one}
    assert len(policies) == 1
    service = {
        "image": f"{empty_project.name}:0.1.0",
        "build": {"context": "."},
        "pull_policy": policies.pop(),
        "command": ["/usr/bin/cat", "/version"],
        "volumes": ["/usr:/usr:ro"],
    }
    write(empty_project, {"one": service})
    label = f"test={empty_project.name}"
    dockerfile = f"FROM {empty_project.image}\nLABEL {label}\nCOPY version /\n"
    (empty_project.folder / "Dockerfile").write_text(dockerfile)
    version = empty_project.folder / "version"
    try:
        version.write_text("before\n")
        assert "before" in empty_project.run("up")
        version.write_text("after\n")
        assert "before" in empty_project.run("up", "--no-build"), "without a network"
        assert "after" in empty_project.run("up")
    finally:
        empty_project.run("down", "--rmi", "all")
        docker("image", "prune", "--force", "--filter", f"label={label}")


def test_the_settings_of_the_tutorial_outlast_its_next_commands(project: Project) -> None:
    """The literal lines of step 4, with other programs in the containers."""
    found = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    names = ("secrets", "adopt", "model", "gateway", "loadgen", "tidegate")
    found = {name: found[name] for name in names}
    kept = ("environment", "depends_on", "network_mode", "profiles", "healthcheck")
    for name, one in found.items():
        once = name not in ("model", "gateway")
        program: dict[str, Any] = {"entrypoint": ["/usr/bin/true" if once else "/usr/bin/sleep"]}
        program |= {} if once else {"command": ["inf"], "init": True}
        found[name] = {
            "image": project.image,
            "volumes": ["/usr:/usr:ro"],
            **program,
            **{key: one[key] for key in kept if key in one},
        }
        if "healthcheck" in one:
            found[name]["healthcheck"] = {"test": ["CMD", "/usr/bin/true"], "interval": "1s"}
    write(project, found)

    page = (ROOT / "docs" / "tutorials" / "compose.md").read_text("utf-8")
    step = page.partition("Send load and watch it scale\n")[2].partition("\n## ")[0]
    environment = {n: v for n, v in os.environ.items() if not n.startswith("TIDEGATE_")}
    before: set[str] = set()
    for line in re.findall(r"^\$ (.*)$", step, re.MULTILINE):
        output("bash", "-c", line, cwd=project.folder, env=environment)
        now = {
            one["Id"]
            for service in ("model", "gateway")
            for one in project.containers(service).values()
        }
        assert not before or now == before, f"{line}: it replaced containers"
        before = now
    (model,) = project.containers().values()
    assert "TIDEGATE_DEVICE__SIMULATED=true" in model["Config"]["Env"]


def test_the_failure_of_one_view_does_not_stop_the_others(project: Project) -> None:
    one_shots, long_running = {}, {}
    for name, one in services().items():
        replacement = {
            "image": project.image,
            "init": True,
            "volumes": ["/usr:/usr:ro"],
            "depends_on": one.get("depends_on", {}),
        }
        if one["restart"] == "no":
            one_shots[name] = replacement | {"command": ["/usr/bin/true"]}
        else:
            health = {"test": ["CMD", "/usr/bin/true"], "interval": "1s"}
            long_running[name] = replacement | {
                "command": ["/usr/bin/sleep", "inf"],
                "healthcheck": health,
            }
    # As if Kibana never became ready: long after the others.
    fail_later = "until [ -e /tmp/failed ]; do sleep 0.1; done; exit 2"
    failing = one_shots["kibana-setup"] | {"command": ["/usr/bin/bash", "-c", fail_later]}
    write(project, long_running | one_shots | {"kibana-setup": failing})

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
            eventually(lambda: running() == (long_running.keys() - {"ready"}) | {"kibana-setup"})
            (setup,) = project.containers("kibana-setup")
            docker("exec", setup, "/usr/bin/touch", "/tmp/failed")
            _, errors = up.communicate(timeout=60)
        finally:
            up.kill()
    assert up.returncode != 0
    assert "kibana-setup" in errors
    assert running() == long_running.keys() - {"ready"}
    write(project, long_running | one_shots)
    project.run("up", "--wait", "--wait-timeout", "120")
    assert running() == set(long_running)
