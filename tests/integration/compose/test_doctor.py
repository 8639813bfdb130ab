"""`tidegate doctor --compose`, with a real engine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import run
from support.ports import free_ports

pytestmark = pytest.mark.integration
PUBLISHED = ("GATEWAY", "CONSOLE", "ELASTICSEARCH", "KIBANA", "PROMETHEUS", "GRAFANA")


@pytest.mark.usefixtures("docker_engine")
def test_a_taken_port_is_reported_before_the_start() -> None:
    first = free_ports(len(PUBLISHED))
    ports = {f"{name}_PORT": str(first + number) for number, name in enumerate(PUBLISHED)}

    def doctor() -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("tidegate")
        environment = (
            os.environ | ports | {"COLUMNS": "200", "COMPOSE_PROJECT_NAME": "tidegate-none"}
        )
        return run(program, "doctor", "--compose", env=environment)

    free = doctor()
    assert free.returncode == 0, free.stdout + free.stderr
    assert f"all {len(PUBLISHED)} are free" in free.stdout
    assert " 0.0 GiB" not in free.stdout
    with socket.create_server(("127.0.0.1", int(ports["GRAFANA_PORT"]))):
        taken = doctor()
    assert taken.returncode == 1
    assert f"port {ports['GRAFANA_PORT']} (GRAFANA_PORT) is used by" in taken.stdout
