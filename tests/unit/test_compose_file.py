"""docker-compose.yml and Dockerfile, without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import elasticsearch
import pytest
import yaml

from support.checkout import ROOT
from tidegate.observability_files.watermarks import GIB
from tidegate.provision.first_requests import MARKER
from tidegate.provision.preflight import MIN_MEMORY, REQUIRED_MEMORY
from tidegate.provision.secrets.inventory import SECRETS
from tidegate.provision.secrets.version_stamp import ELASTIC_VERSION
from tidegate.settings import load, setting_names
from tidegate.stack.prometheus import CORS_ORIGIN

PROGRAMS = Path(sys.executable).parent
DATA_DIR = "TIDEGATE_STACK__DATA_DIR"
# What these programs need at least: Logstash was measured, the others are as their users report.
MEASURED_MIB = {"grafana": 768, "kibana": 1536, "logstash": 960, "alertmanager": 96}


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


def lasting(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in services.items() if one["restart"] != "no"}


def started_before(services: dict[str, dict[str, Any]], name: str) -> set[str]:
    """All that Compose starts before a service."""
    before: list[str] = list(services[name].get("depends_on", []))
    return set(before).union(*(started_before(services, each) for each in before))


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


def test_every_service_that_lasts_is_watched_bounded_and_confined(
    services: dict[str, dict[str, Any]],
) -> None:
    for name, one in lasting(services).items():
        assert "test" in one["healthcheck"], name
        assert int(one["mem_limit"]) > 0, name
        assert one["restart"] == "unless-stopped", name
        # Kibana's image brings its own.
        assert one["init"] is (name != "kibana"), name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["cap_drop"] == ["ALL"], name
        assert "cap_add" not in one, name
        assert one["logging"]["options"] == {"max-size": "10m", "max-file": "3"}, name
        assert set(one.get("networks", [])) <= {"front", "telemetry", "control"}, name
        assert ("networks" in one) is (name != "ready"), name


def test_the_memory_limits_of_one_replica_are_what_the_preflight_asks_for(
    services: dict[str, dict[str, Any]],
) -> None:
    bound = sum(int(one["mem_limit"]) for one in lasting(services).values())
    assert MIN_MEMORY - GIB / 4 < bound <= MIN_MEMORY
    for name, least in MEASURED_MIB.items():
        assert int(services[name]["mem_limit"]) >= least * 2**20, name
    heap = re.search(r"max-old-space-size=(\d+)", services["kibana"]["environment"]["NODE_OPTIONS"])
    assert heap is not None
    # Beside its heap, a third of Kibana's memory is code and buffers.
    assert int(heap[1]) * 2**20 <= int(services["kibana"]["mem_limit"]) * 2 / 3
    for page in ("README.md", "docs/reference/compose.md"):
        assert f"{REQUIRED_MEMORY // GIB} GiB of memory" in (ROOT / page).read_text("utf-8"), page


def test_nothing_is_published_beyond_this_machine(services: dict[str, dict[str, Any]]) -> None:
    published = {
        (name, int(port["published"])): port["host_ip"]
        for name, one in services.items()
        for port in one.get("ports", [])
    }
    assert set(published.values()) == {"127.0.0.1"}
    # Not Alertmanager: it lets scripts of every origin in and has no flag against it
    # (prometheus/alertmanager, api/v2/api.go: cors.Default()).
    assert {port for _, port in published} == {8000, 9090, 9200, 5601, 3000}


def test_prometheus_lets_no_script_of_another_page_read_it(
    services: dict[str, dict[str, Any]],
) -> None:
    # Compose prints a dollar twice.
    escaped = CORS_ORIGIN.replace("$", "$$")
    assert f"--web.cors.origin={escaped}" in services["prometheus"]["command"]


def test_prometheus_has_its_retention_in_the_configuration(
    services: dict[str, dict[str, Any]],
) -> None:
    # prometheus/prometheus 3.16, cmd/prometheus/main.go: the flags are deprecated. `setup config` writes it.
    assert not [each for each in services["prometheus"]["command"] if "retention" in each]


def test_replicas_have_no_name_and_no_port_of_their_own(
    services: dict[str, dict[str, Any]],
) -> None:
    assert not {"container_name", "ports", "hostname"} & services["model"].keys()


def test_only_the_resizer_reaches_docker(services: dict[str, dict[str, Any]]) -> None:
    reaching = [
        n for n, one in services.items() if "docker.sock" in json.dumps(one.get("volumes", []))
    ]
    assert reaching == ["resizer"]


def test_each_sees_its_own_secrets_only(services: dict[str, dict[str, Any]]) -> None:
    for name, one in services.items():
        if name == "secrets":
            continue
        sources = {str(v.get("source")) for v in one.get("volumes", [])}
        assert len([s for s in sources if s.startswith("secrets-")]) <= 1, name


def test_verify_reaches_each_part_that_it_asks_and_has_its_secrets(
    services: dict[str, dict[str, Any]],
) -> None:
    tools = services["tidegate"]
    for name, value in tools["environment"].items():
        if name.startswith("TIDEGATE_VERIFY__") and name.endswith("_URL"):
            asked = services[value.removeprefix("http://").partition(":")[0]]
            assert asked["networks"].keys() & tools["networks"].keys(), name
    # Neither the resizer's token nor its network, nor a superuser's password.
    assert "control" not in tools["networks"]
    files = {Path(v).name for n, v in tools["environment"].items() if n.endswith("PASSWORD_FILE")}
    assert files == {one.name for one in SECRETS if "verify" in one.consumers}
    assert files == {"reader", "viewer", "grafana_admin"}


def test_a_replica_can_write_nothing_but_event_files(
    services: dict[str, dict[str, Any]],
) -> None:
    writable = {v["target"] for v in services["model"]["volumes"] if not v.get("read_only", False)}
    assert writable == {"/var/lib/tidegate/logs"}
    assert services["model"]["read_only"] is True
    # What others rely on lies in volumes that it does not even see, or cannot write.
    volumes = {v["source"]: v for v in services["model"]["volumes"] if v["type"] == "volume"}
    assert volumes.keys() == {"logs", "artefacts", "secrets-model"}
    assert volumes["artefacts"]["read_only"] is True


def test_each_volume_of_the_data_folder_is_where_its_owner_looks_for_it(
    services: dict[str, dict[str, Any]],
) -> None:
    settings = load(stack={"data_dir": services["collector"]["environment"][DATA_DIR]})
    held = {
        name: {
            v["target"] for v in one.get("volumes", []) if v["target"].startswith("/var/lib/tide")
        }
        for name, one in services.items()
        if name != "secrets"
    }
    data, logs = settings.stack.data_dir, str(settings.log_dir)
    for writer in ("model", "gateway", "collector", "exporter", "watch", "autoscaler"):
        assert logs in held[writer], writer
    assert held["collector"] == {logs, str(data / "collector")}
    for one in ("autoscaler", "tidegate"):
        assert str(settings.control_file.parent) in held[one], one
    assert held["first-requests"] == {str((data / MARKER).parent)}
    assert held["adopt"] == {str(data / "artefacts")}
    # Who is root gives each its owner.
    given = {option for option in services["secrets"]["command"] if option.startswith("--own=/var")}
    assert given == {f"--own={target}" for target in set().union(*held.values())}


def test_the_collector_has_no_account_of_elasticsearch_where_logstash_writes() -> None:
    readers = {secret.name: set(secret.consumers) for secret in SECRETS}
    assert readers["writer"] == {"logstash", "setup"}
    assert [name for name, consumers in readers.items() if "collector" in consumers] == [
        "collector"
    ]


def test_the_end_of_a_heap_writes_no_dump(services: dict[str, dict[str, Any]]) -> None:
    # elastic/elasticsearch 9.2, distribution/src/config/jvm.options switches them on; these come later.
    for name, variable in (("elasticsearch", "ES_JAVA_OPTS"), ("logstash", "LS_JAVA_OPTS")):
        options = services[name]["environment"][variable].split()
        assert "-XX:-HeapDumpOnOutOfMemoryError" in options, name


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    for name, one in services.items():
        _, _, tag = one["image"].rpartition(":")
        assert tag, name
        assert tag != "latest", name
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert services["model"]["image"] == f"tidegate/service:{version}"


@pytest.mark.parametrize("given", [{}, {"ELASTIC_VERSION": "9.6.1"}])
def test_the_elastic_stack_is_of_one_version(given: dict[str, str]) -> None:
    done = compose("config", "--format", "json", **given)
    services = json.loads(done.stdout)["services"]
    version = given.get("ELASTIC_VERSION", ELASTIC_VERSION)
    for name in ("elasticsearch", "kibana", "logstash"):
        assert services[name]["image"] == f"docker.elastic.co/{name}/{name}:{version}"
    # It looks whether a newer Elasticsearch has written the volume.
    assert f"--stack-version={version}" in services["secrets"]["command"]


def test_the_client_is_of_the_minor_version_that_compose_runs() -> None:
    assert elasticsearch.__version__[:2] == tuple(map(int, ELASTIC_VERSION.split(".")[:2]))


def test_each_image_of_ours_has_one_builder_and_comes_from_nowhere_else(
    services: dict[str, dict[str, Any]],
) -> None:
    ours = {n: one for n, one in services.items() if one["image"].startswith("tidegate/")}
    builders = {n: one["image"] for n, one in ours.items() if "build" in one}
    assert sorted(builders.values()) == sorted({one["image"] for one in ours.values()})
    # tests/integration/compose/test_stack_file.py shows what Compose does at each start with `build`.
    for name, one in ours.items():
        assert one["pull_policy"] == ("build" if name in builders else "never"), name
    # Then a build needs no network: the image that it starts from is in the engine's own store.
    (base,) = re.findall(
        r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    assert services["ready"]["image"] == base

    # What is started alone brings its image's builder along. By hand it runs when the stack does.
    for name, one in ours.items():
        if name != "tidegate":
            assert one["image"] in {
                builders.get(each) for each in {name} | started_before(services, name)
            }, name


def test_each_one_shot_is_waited_for(services: dict[str, dict[str, Any]]) -> None:
    # Else `up --wait` takes its end for a failure.
    awaited = {
        name
        for one in services.values()
        for name, how in one.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    by_hand = {name for name, one in services.items() if "profiles" in one}
    assert awaited == services.keys() - lasting(services).keys() - by_hand
    # It waits for Kibana by itself: started after a healthy one, it could never say that there is none.
    assert services["kibana-setup"]["depends_on"]["kibana"]["condition"] == "service_started"


def test_no_view_waits_for_another(services: dict[str, dict[str, Any]]) -> None:
    views = {"grafana", "kibana", "prometheus", "kibana-setup", "first-requests"}
    for view in ("grafana", "kibana", "prometheus"):
        assert views & started_before(services, view) == set(), view
    assert {"kibana-setup", "first-requests"} <= services["ready"]["depends_on"].keys()
    needed = {name for one in services.values() for name in one.get("depends_on", {})}
    assert "ready" not in needed


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({}, "http://127.0.0.1:5601"),
        ({"KIBANA_PORT": "5602"}, "http://127.0.0.1:5602"),
        ({"KIBANA_PUBLIC_URL": "https://kibana.example.org"}, "https://kibana.example.org"),
    ],
)
def test_links_to_kibana_follow_its_published_port(variables: dict[str, str], address: str) -> None:
    done = compose("--profile", "*", "config", "--format", "json", **variables)
    found = json.loads(done.stdout)["services"]
    assert found["kibana"]["environment"]["KIBANA_PUBLIC_URL"] == address
    assert found["grafana"]["environment"]["KIBANA_PUBLIC_URL"] == address
    assert found["tidegate"]["environment"]["TIDEGATE_KIBANA__URL"] == address


def test_the_load_report_is_left_in_the_folder_runs(services: dict[str, dict[str, Any]]) -> None:
    (mount,) = services["loadgen"]["volumes"]
    assert (mount["type"], mount["source"]) == ("bind", str(ROOT / "runs"))
    assert mount["target"] == "/app/runs"  # --out's default, from the image's working folder
    assert "--out" not in services["loadgen"]["command"]


def test_every_variable_of_ours_is_a_setting() -> None:
    text = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    names = {name for one in text["services"].values() for name in one.get("environment", {})}
    names |= set(text["x-settings"])
    dotted = {
        n.removeprefix("TIDEGATE_").lower().replace("__", ".") for n in names if "TIDEGATE_" in n
    }
    assert sorted(dotted - set(setting_names())) == []


def test_every_file_that_is_mounted_is_there(services: dict[str, dict[str, Any]]) -> None:
    binds = [
        Path(volume["source"])
        for one in services.values()
        for volume in one.get("volumes", [])
        if volume["type"] == "bind" and "docker.sock" not in volume["source"]
    ]
    assert [str(path) for path in binds if not path.exists()] == []
