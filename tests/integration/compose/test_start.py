"""The start of the resizer as a service of a real project, and its errors."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.eventually import eventually
from support.processes.compose_project import TOKEN, Project, call_resizer, docker
from support.scrape import scrape

pytestmark = pytest.mark.integration

# As in docker-compose.yml, except for the image: programs come from the host.
SERVICE = f"""  resizer:
    image: IMAGE
    init: true
    command: [{sys.prefix}/bin/python, -m, tidegate, resizer]
    working_dir: {ROOT}
    user: "0:0"
    cap_drop: [ALL]
    security_opt: [no-new-privileges:true]
    read_only: true
    tmpfs: [/tmp]
    networks: [front, control]
    mem_limit: 512m
    environment:
      TIDEGATE_STACK__METRICS_HOST: 0.0.0.0
      TIDEGATE_RESIZER__TOKEN_FILE: /run/secrets/token
    volumes:
      - /usr:/usr:ro
      - /var/run/docker.sock:/var/run/docker.sock
      - ./token:/run/secrets/token:ro
      MOUNTS
    depends_on: [model]
"""
MOUNTS = "\n      ".join(
    f"- {one}:{one}:ro"
    for one in sorted(
        {str(ROOT), sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
        - {"/usr"}
    )
)


def memory(address: str, name: str, service: str, container: str) -> float:
    """A memory metric of a container; 0 if it is missing. The resizer's metrics need no token."""
    return scrape(9103, name, host=address, container=container, service=service) or 0.0


def test_as_a_service_it_needs_no_capabilities_and_finds_its_project(project: Project) -> None:
    (project.folder / "token").write_text(TOKEN)
    project.write(rest=SERVICE.replace("MOUNTS", MOUNTS))
    compose = project.folder / "compose.yml"
    compose.write_text(
        compose.read_text().replace("telemetry: {}}", "telemetry: {}, control: {internal: true}}")
    )
    project.run("up", "--detach")
    (name,) = project.containers("resizer")

    def started() -> bool:
        state = project.containers("resizer")[name]["State"]
        assert state["Status"] == "running", docker("logs", name)
        return '"action":"start"' in docker("logs", name)

    eventually(started)
    own = project.containers("resizer")[name]["NetworkSettings"]["Networks"]
    address = own[f"{project.name}_control"]["IPAddress"]
    with urllib.request.urlopen(f"http://{address}:9103/ready", timeout=30) as ready:
        assert ready.status == 200

    used = "tidegate_container_memory_bytes"
    eventually(lambda: memory(address, used, "resizer", name))
    limit = memory(address, "tidegate_container_memory_limit_bytes", "resizer", name)
    assert limit == 512 * 2**20
    assert memory(address, used, "model", project.replica(1)) > 0
    assert 10 * 2**20 < memory(address, used, "resizer", name) < limit

    assert call_resizer(f"{address}:9103", 3)["desired"] == 3
    eventually(lambda: call_resizer(f"{address}:9103")["ready"] == 3)
    for number, busy in ((1, "2.0"), (2, "0.0"), (3, "1.0")):
        project.put(number, f"/busy/{busy}")
    call_resizer(f"{address}:9103", 2)
    # Wait for all of them: Compose fails if a container is removed after it has listed it.
    eventually(lambda: sorted(project.containers()) == [project.replica(1), project.replica(3)])

    project.run("up", "--detach")
    eventually(lambda: len(project.ids()) == 2 and call_resizer(f"{address}:9103")["ready"] == 2)
    # Compose stops the resizer first, because it depends on the model; so no replica is created meanwhile.
    project.run("down", "--volumes")
    assert project.containers() == project.containers("resizer") == {}
