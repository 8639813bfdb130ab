"""What the chart's containers are given, read by the real programs: promtool, HAProxy, Tidegate."""

from __future__ import annotations

import asyncio
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from support.eventually import eventually
from support.kubernetes.chart import (
    CHART,
    FULL,
    NAMESPACE,
    TABLE,
    Object,
    Values,
    container,
    environment,
    of_kind,
    pods,
    render,
)
from support.ports import free_ports
from tidegate.settings import load
from tidegate.stack.gateway import configuration, haproxy
from tidegate.stack.prometheus import PrometheusError, prometheus_binary

BUNDLED = [
    name
    for name, values in TABLE.items()
    if values.get("prometheus", {}).get("mode", "bundled") == "bundled"
]


def promtool(*arguments: str, cwd: Path) -> str:
    """What promtool says against a file; empty if nothing."""
    try:
        program = prometheus_binary().with_name("promtool")
    except PrometheusError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [program, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def run(one: Object, settings: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a container's command on this machine, with the ConfigMap's settings, and `folder` as /config."""
    file = folder / "tidegate.toml"
    file.write_text(settings)
    return subprocess.run(
        [
            *(sys.executable, "-m", "tidegate"),
            *(str(folder) if word == "/config" else word for word in one["args"]),
        ],
        env={**os.environ, **environment(one), "TIDEGATE_CONFIG": str(file)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def settings_check(values: Values, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the job that helm runs before it changes anything; `folder` has the Secrets."""
    pod = pods(render(values))["settings-check"]
    one = container(pod, "check")
    settings = folder / "tidegate.toml"
    settings.write_text(pod["metadata"]["annotations"]["tidegate.toml"])
    command = [word.replace("/etc/tidegate/secrets", str(folder)) for word in one["command"]]
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [*command, *one["args"]],
        env={**os.environ, **environment(one), **path, "TIDEGATE_CONFIG": str(settings)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def make_secrets(values: Values, folder: Path) -> list[Path]:
    """The files of the Secrets that the check looks for."""
    volumes = pods(render(values))["settings-check"]["spec"]["volumes"]
    sources = [one for each in volumes for one in each.get("projected", {}).get("sources", [])]
    assert all(one["secret"]["optional"] for one in sources)
    files = [folder / item["path"] for one in sources for item in one["secret"]["items"]]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("secret")
    return files


@pytest.mark.parametrize("name", TABLE)
def test_the_check_before_an_upgrade_takes_the_settings(name: str, tmp_path: Path) -> None:
    make_secrets(TABLE[name], tmp_path)
    done = settings_check(TABLE[name], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_before_an_upgrade_names_each_missing_secret(tmp_path: Path) -> None:
    files = make_secrets(TABLE["everything"], tmp_path)
    (empty, *others, present) = files
    empty.write_text("")
    for one in others:
        one.unlink()
    done = settings_check(TABLE["everything"], tmp_path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == len(files) - 1
    assert present.parent.name not in lines[-1] or present.name not in lines[-1]
    assert lines[0] == (
        "elasticsearch.ca.secret: the namespace models has no Secret elasticsearch-ca with the key ca.crt:"
        " create it first"
    )


def test_the_check_before_an_upgrade_looks_for_each_secret_that_a_pod_mounts() -> None:
    for name, values in TABLE.items():
        objects = pods(render(values))
        looked_for = mounted_keys(objects.pop("settings-check"))
        mounted = set().union(*map(mounted_keys, objects.values()))
        # The chart's own Secret comes with the others.
        own = f"{FULL}-secrets"
        assert looked_for >= {one for one in mounted if one[0] != own}, name


def mounted_keys(pod: Object) -> set[tuple[str, str]]:
    """The names and keys of Secrets that a pod mounts."""
    volumes = pod["spec"].get("volumes", [])
    sources = [
        one for each in volumes for one in (each, *each.get("projected", {}).get("sources", []))
    ]
    secrets = [one["secret"] for one in sources if "secret" in one]
    return {
        (one.get("secretName") or one["name"], item["key"])
        for one in secrets
        for item in one.get("items", [])
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"replicas": {"start": 9}}, "expected min ≤ start ≤ max"),
        ({"replicas": {"min": 3, "start": 1}}, "expected min ≤ start ≤ max"),
        ({"replicas": {"min": 9}}, "expected min ≤ start ≤ max"),
        ({"autoscaler": {"policy": "slok"}}, "slok"),
        ({"gateway": {"queue_bytes": 16384}}, "queue_bytes is 16384, less than one body"),
    ],
)
def test_the_check_before_an_upgrade_refuses_what_no_program_starts_with(
    settings: dict[str, Any], said: str, tmp_path: Path
) -> None:
    done = settings_check({"settings": settings}, tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("name", BUNDLED)
def test_the_configuration_of_the_bundled_prometheus_is_valid(name: str, tmp_path: Path) -> None:
    objects = render(TABLE[name])
    settings = of_kind(objects, "ConfigMap")["settings"]["data"]["tidegate.toml"]
    done = run(container(pods(objects)["prometheus"], "config"), settings, tmp_path)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "prometheus"
    config = yaml.safe_load((home / "prometheus.yml").read_text())
    # Prometheus 2.42 has no retention in its configuration.
    del config["storage"]["tsdb"]
    (home / "prometheus.yml").write_text(yaml.safe_dump(config))
    assert promtool("check", "config", "prometheus.yml", cwd=home) == ""
    # Each discovered name is a Service of the chart, with that port.
    services = of_kind(objects, "Service")
    for job in config["scrape_configs"]:
        for one in job.get("dns_sd_configs", []):
            service = one["names"][0].removeprefix(f"{FULL}-").partition(".")[0]
            assert one["names"] == [f"{FULL}-{service}.{NAMESPACE}.svc.cluster.local"]
            ports = {port["port"] for port in services[service]["spec"]["ports"]}
            assert one["port"] in ports, job["job_name"]
            assert one["type"] == ("AAAA" if name == "ipv6" else "A")
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    running = set(of_kind(objects, "Deployment"))
    assert {"model", "gateway", "collector", "prometheus"} <= jobs
    assert jobs & {"autoscaler", "resizer"} == running & {"autoscaler", "resizer"}
    assert ("exporter" in jobs) is ("watch" in jobs) is ("monitor" in running)


@pytest.mark.parametrize("name", TABLE)
def test_haproxy_accepts_the_gateways_configuration(name: str, tmp_path: Path) -> None:
    objects = render(TABLE[name])
    file = tmp_path / "tidegate.toml"
    file.write_text(of_kind(objects, "ConfigMap")["settings"]["data"]["tidegate.toml"])
    gateway = container(pods(objects)["gateway"], "gateway")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEGATE_CONFIG", str(file))
        text = configuration.render_config(load(), dns_name=gateway["args"][2], dns_servers=())
    config = tmp_path / "haproxy.cfg"
    config.write_text(text)
    asyncio.run(haproxy.check(config))
    # It listens on the ports that its Services lead to.
    for port in gateway["ports"]:
        assert f':{port["containerPort"]}"' in text, port["name"]


def test_the_limit_of_the_gateway_is_enough_for_its_buffers() -> None:
    gateway = container(pods(render({}))["gateway"], "gateway")
    mib = int(gateway["resources"]["limits"]["memory"].removesuffix("Mi"))
    # HAProxy itself, and the program that writes its access events: docs/explanation/gateway.md, Limits.
    assert configuration.memory_bytes(load()) / 2**20 + 80 <= mib


def rule_groups() -> list[dict[str, Any]]:
    (rules,) = of_kind(render(TABLE["operator"]), "PrometheusRule").values()
    return list(rules["spec"]["groups"])


def test_promtool_accepts_the_rules_of_the_operator(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": rule_groups()}))
    assert promtool("check", "rules", "--lint-fatal", "rules.yml", cwd=tmp_path) == ""


def test_the_rules_of_the_operator_are_evaluated_as_often_as_pods_are_read() -> None:
    # The operator's Prometheus evaluates each 30 s by default, and the signals would be too old.
    intervals = {group["name"]: group["interval"] for group in rule_groups()}
    assert intervals["service-now"] == "2s"
    assert intervals["service-ratios"] == "15s"
    monitors = of_kind(render(TABLE["operator"]), "PodMonitor").values()
    endpoints = [one["spec"]["podMetricsEndpoints"][0] for one in monitors]
    assert {one["interval"] for one in endpoints} == {"2s"}


def test_the_operators_name_of_each_job_is_in_the_alerts_about_missing_pods() -> None:
    groups = {group["name"]: group["rules"] for group in rule_groups()}
    expressions = "\n".join(rule["expr"] for rule in groups["alerts"])
    found = re.findall('scrape_job="(.*?)"', expressions)
    jobs = ("autoscaler", "collector", "exporter", "gateway", "watch")
    assert sorted(found) == [f"podMonitor/{NAMESPACE}/{FULL}-{job}/0" for job in jobs]


def test_the_jobs_of_the_operator_are_those_of_the_rules() -> None:
    monitors = of_kind(render(TABLE["operator"]), "PodMonitor")
    for name, one in monitors.items():
        (endpoint,) = one["spec"]["podMetricsEndpoints"]
        assert {"targetLabel": "job", "replacement": name} in endpoint["relabelings"]
        assert one["metadata"]["labels"]["release"] == "prometheus"
    assert monitors.keys() == {"model", "gateway", "collector", "autoscaler", "exporter", "watch"}


def test_the_query_of_the_hpa_has_a_value_where_it_must_and_none_where_it_must_not(
    tmp_path: Path,
) -> None:
    (scaled,) = of_kind(render(TABLE["hpa-zero"]), "ScaledObject").values()
    metadata = scaled["spec"]["triggers"][0]["metadata"]
    assert (metadata["ignoreNullValues"], metadata["threshold"]) == ("false", "0.7")
    system, slots = "service:requests_in_system:now", "service:slots_per_replica:now"
    queue, ready = "service:queue:now", "service:replicas_ready:now"
    rate = "service:arrival_rate:1m"
    cases: list[tuple[dict[str, float], float | None]] = [
        ({system: 6, slots: 2, queue: 1, ready: 3}, 3),
        # At zero the series of replicas are missing, and what waits counts.
        ({queue: 5, ready: 0}, 2.5),
        ({queue: 0, ready: 0}, 0),
        # No scrape found the requests of a low load, but it is not idle: more than activationThreshold, and
        # for the HPA, which counts thousandths, still nothing.
        ({system: 0, slots: 2, queue: 0, ready: 3, rate: 0.9}, 1e-6),
        ({system: 0, slots: 2, queue: 0, ready: 3, rate: 0}, 0),
        ({system: 0, slots: 2, queue: 0, ready: 3, rate: math.nan}, 0),
        # Replicas that cannot be read while the gateway uses them: no value, so that nothing leaves.
        ({queue: 0, ready: 3, rate: 0.9}, None),
        ({}, None),
    ]
    tests = [
        {
            "interval": "1s",
            "input_series": [
                {"series": name, "values": str(value)} for name, value in series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": metadata["query"],
                    "eval_time": "0s",
                    "exp_samples": []
                    if expected is None
                    else [{"labels": "{}", "value": expected}],
                }
            ],
        }
        for series, expected in cases
    ]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": tests}))
    assert promtool("test", "rules", "tests.yml", cwd=tmp_path) == ""


def test_every_dashboard_fits_into_a_configmap() -> None:
    dashboards = {
        name: one
        for name, one in of_kind(render(TABLE["everything"]), "ConfigMap").items()
        if name.startswith("dashboard-")
    }
    files = {path.stem for path in (CHART / "files" / "dashboards").iterdir()}
    assert {name.removeprefix("dashboard-") for name in dashboards} == files
    for name, one in dashboards.items():
        (text,) = one["data"].values()
        assert len(text) < 900_000, name
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert yaml.safe_load(text)["uid"]


def test_the_console_answers_in_its_pod(tmp_path: Path) -> None:
    objects = render({"monitor": {"console": True}})
    console = container(pods(objects)["monitor"], "console")
    settings = of_kind(objects, "ConfigMap")["settings"]["data"]["tidegate.toml"]
    (tmp_path / "tidegate.toml").write_text(settings)
    port = free_ports(1)
    environ = {
        **environment(console),
        "TIDEGATE_CONFIG": str(tmp_path / "tidegate.toml"),
        "TIDEGATE_CONSOLE__PORT": str(port),
        "TIDEGATE_STACK__DATA_DIR": str(tmp_path),
    }
    argv = [sys.executable, "-m", "tidegate", *console["args"]]
    with subprocess.Popen(argv, env={**os.environ, **environ}, cwd=tmp_path) as program:
        try:
            probe = ["bash", str(ROOT / "scripts" / "healthy"), str(port), "/live"]
            eventually(
                lambda: not subprocess.run(probe, capture_output=True, check=False).returncode,
                "it answers",
            )
        finally:
            program.terminate()
    assert program.returncode == 0
