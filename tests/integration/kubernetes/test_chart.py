"""The objects of the Helm chart, for a table of values."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml

from support.checkout import ROOT
from support.kubernetes.chart import (
    CHART,
    FULL,
    TABLE,
    URL,
    Object,
    container,
    containers,
    environment,
    of_kind,
    pods,
    render,
)
from tidegate.settings import load
from tools.generate.chart.values_file import read_values

EACH = pytest.mark.parametrize("name", TABLE)
# Components whose containers write events, each with a collector beside them.
WRITERS = {"model", "gateway", "autoscaler", "monitor"}
ONCE = {"settings-check", "setup-elasticsearch-1", "setup-kibana-1"}


def settings_of(objects: list[Object]) -> dict[str, Any]:
    text = of_kind(objects, "ConfigMap")["settings"]["data"]["tidegate.toml"]
    return tomllib.loads(text)


@EACH
def test_every_container_is_confined(name: str) -> None:
    for component, pod in pods(render(TABLE[name])).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, component
        assert spec["securityContext"]["runAsUser"] > 0, component
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, component
        assert spec["automountServiceAccountToken"] is False, component
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), component
        assert not [one for one in spec["volumes"] if "hostPath" in one], component
        for one in containers(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, (component, one["name"])


@EACH
def test_every_container_has_limits_and_what_runs_on_has_probes(name: str) -> None:
    for component, pod in pods(render(TABLE[name])).items():
        for one in containers(pod):
            assert one["resources"]["limits"]["memory"], (component, one["name"])
            assert one["resources"]["requests"].keys() == {"cpu", "memory"}, one["name"]
            runs_on = component not in ONCE and one["name"] != "config"
            assert ("livenessProbe" in one) is runs_on, (component, one["name"])
            # The collector has none: a pod can serve while Elasticsearch is away.
            assert ("readinessProbe" in one) is (runs_on and one["name"] != "collector")


@EACH
def test_probes_and_services_name_ports_that_exist(name: str) -> None:
    objects = render(TABLE[name])
    all_pods = pods(objects)
    for pod in all_pods.values():
        for one in containers(pod):
            ports = {port["name"] for port in one.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                # The console's runs a command in its container.
                if probe in one and one["name"] != "console":
                    check = one[probe].get("httpGet") or one[probe]["tcpSocket"]
                    assert check["port"] in ports, one["name"]
    for service, one in of_kind(objects, "Service").items():
        selected = [
            pod
            for pod in all_pods.values()
            if one["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        ]
        assert selected, service
        for pod in selected:
            named = {port["name"] for each in containers(pod) for port in each.get("ports", [])}
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= named, service


@EACH
def test_secrets_are_mounted_by_reference_and_only_the_keys_that_are_needed(name: str) -> None:
    objects = render(TABLE[name])
    for component, pod in pods(objects).items():
        for volume in pod["spec"]["volumes"]:
            sources = [volume, *volume.get("projected", {}).get("sources", [])]
            for secret in (one["secret"] for one in sources if "secret" in one):
                # The set-up creates accounts with all passwords of the Secret.
                if component != "setup-elasticsearch-1":
                    assert len(secret["items"]) == 1, (component, volume["name"])
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, (component, volume["name"])
        for one in containers(pod):
            for variable, value in environment(one).items():
                is_secret = variable.endswith(("PASSWORD", "TOKEN", "KEY"))
                assert not is_secret, f"{component}: {variable} has a value"
                if variable.endswith("_FILE"):
                    assert str(value).startswith("/etc/tidegate/"), variable


@EACH
def test_each_mounted_volume_exists_and_each_volume_is_mounted(name: str) -> None:
    for component, pod in pods(render(TABLE[name])).items():
        volumes = {one["name"] for one in pod["spec"]["volumes"]}
        mounted = {m["name"] for one in containers(pod) for m in one["volumeMounts"]}
        assert volumes == mounted, component


@EACH
def test_what_writes_events_has_a_collector_that_ends_after_it(name: str) -> None:
    for component, pod in pods(render(TABLE[name])).items():
        initial = {one["name"]: one for one in pod["spec"].get("initContainers", [])}
        assert ("collector" in initial) is (component in WRITERS), component
        if component in WRITERS:
            collector = initial["collector"]
            assert collector["restartPolicy"] == "Always"
            logs = {
                mount["mountPath"]
                for one in containers(pod)
                for mount in one["volumeMounts"]
                if mount["name"] == "logs"
            }
            assert logs == {"/var/lib/tidegate/logs"}, component
            # Where it keeps its position, which no other container may change.
            others = [one for one in containers(pod) if one["name"] != "collector"]
            assert not [
                m for one in others for m in one["volumeMounts"] if m["name"] == "collector"
            ]


@EACH
def test_the_settings_are_valid_and_the_programs_are_tidegates_own(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = render(TABLE[name])
    found = settings_of(objects)
    # Every variable is a setting: Tidegate refuses others at its start.
    for pod in pods(objects).values():
        for one in containers(pod):
            for variable, value in environment(one).items():
                if variable.startswith("TIDEGATE_") and isinstance(value, str):
                    monkeypatch.setenv(variable, value)
            monkeypatch.delenv("TIDEGATE_CONFIG", raising=False)
            loaded = load(**found)
            assert loaded.store.elasticsearch.url == URL
            for variable in environment(one):
                monkeypatch.delenv(variable, raising=False)


@EACH
def test_replicas_are_set_only_if_nothing_scales(name: str) -> None:
    model = of_kind(render(TABLE[name]), "Deployment")["model"]
    fixed = TABLE[name].get("scaling", {}).get("mode") == "none"
    assert ("replicas" in model["spec"]) is fixed


def test_what_runs_is_all_if_nothing_scales() -> None:
    values = {"scaling": {"mode": "none"}, "settings": {"replicas": {"start": 3}}}
    assert settings_of(render(values))["replicas"]["max"] == 3
    assert settings_of(render({**values, "scaling": {"mode": "resizer"}}))["replicas"]["max"] == 6


def test_null_is_the_default_where_a_value_need_not_be_given() -> None:
    # Without them, the chart makes new secrets in each rendering.
    nulls: dict[str, Any] = {"secrets": {"existing": "shop"}}
    default = render(nulls)
    # What is left of a section whose lines are all comments.
    assert render({**nulls, "settings": None}) == default
    assert render({**nulls, "settings": {"collector": None}}) == default
    empty = [
        one.name.split(".")
        for each in read_values()
        for one in each.leaves()
        if one.default in ("", [], {}) and one.name not in {"elasticsearch.url", "secrets.existing"}
    ]
    for names in empty:
        section = nulls
        for name in names[:-1]:
            section = section.setdefault(name, {})
        section[names[-1]] = None
    assert ["prometheus", "labels"] in empty
    assert render(nulls) == default


def test_the_version_is_the_projects() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (chart["version"], chart["appVersion"]) == (project["version"], project["version"])
    images = {
        one["image"] for pod in pods(render(TABLE["resizer"])).values() for one in containers(pod)
    }
    version = project["version"]
    assert images == {
        f"tidegate/tidegate:{version}",
        f"tidegate/model:{version}",
        "prom/prometheus:v3.16.0",
    }


@pytest.mark.parametrize(
    ("name", "deployments", "others"),
    [
        ("none", {"model", "gateway", "prometheus", "monitor"}, set()),
        ("resizer", {"autoscaler", "resizer"}, set()),
        ("keda-external", {"autoscaler"}, {"ScaledObject"}),
        ("keda-metrics-api", {"autoscaler"}, {"ScaledObject"}),
        ("hpa", set(), {"ScaledObject"}),
        ("operator", {"autoscaler"}, {"PodMonitor", "PrometheusRule"}),
        ("everything", {"setup-elasticsearch-1", "setup-kibana-1"}, {"PersistentVolumeClaim"}),
    ],
)
def test_each_mode_has_its_own_objects(name: str, deployments: set[str], others: set[str]) -> None:
    objects = render(TABLE[name])
    running = set(of_kind(objects, "Deployment", "Job"))
    always = {"model", "gateway", "monitor", "settings-check"}
    bundled = {"prometheus"} if name != "operator" else set()
    decides = {"autoscaler"} if name in {"everything", "operator"} else set()
    assert running == always | bundled | deployments | decides
    assert others <= {one["kind"] for one in objects}


def test_a_window_of_zero_is_not_taken_for_a_missing_one() -> None:
    settings = {"autoscaler": {"hpa": {"down_stabilization_seconds": 0}}}
    objects = render({"scaling": {"mode": "hpa"}, "settings": settings})
    hpa = of_kind(objects, "ScaledObject")["model"]["spec"]["advanced"][
        "horizontalPodAutoscalerConfig"
    ]
    assert hpa["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 0


def test_a_replica_is_named_by_its_pod_and_writes_events_only() -> None:
    pod = pods(render(TABLE["secured"]))["model"]
    model = container(pod, "model")
    assert environment(model)["TIDEGATE_SERVICE__NODE_NAME"] == {
        "fieldRef": {"fieldPath": "metadata.name"}
    }
    # It serves untrusted requests: it has no account of Elasticsearch and no access to the API.
    assert {one["name"] for one in model["volumeMounts"]} == {
        *("settings", "tmp", "logs", "data", "prediction-key"),
    }
    assert pod["spec"]["serviceAccountName"] == "default"


def test_only_the_process_that_uses_the_api_has_a_token_of_it() -> None:
    for name, component in (("resizer", "resizer"), ("keda-external", "autoscaler")):
        with_token = {
            (each, one["name"])
            for each, pod in pods(render(TABLE[name])).items()
            for one in containers(pod)
            for mount in one["volumeMounts"]
            if "serviceaccount" in mount["mountPath"]
        }
        assert with_token == {(component, component), ("gateway", "gateway")}


def test_requests_end_and_then_the_collector_delivers_within_the_grace_period() -> None:
    objects = render(TABLE["none"])
    found = settings_of(objects)
    drain, last = found["replicas"]["drain_seconds"], found["collector"]["last_pass_seconds"]
    deployments = pods(objects)
    assert deployments["model"]["spec"]["terminationGracePeriodSeconds"] >= drain + last + 20
    gateway = deployments["gateway"]["spec"]
    pause = container(deployments["gateway"], "gateway")["lifecycle"]["preStop"]["sleep"]["seconds"]
    queue = found["gateway"]["queue_seconds"]
    assert gateway["terminationGracePeriodSeconds"] >= pause + queue + drain + last + 20


@EACH
def test_a_pod_that_its_successor_waits_for_does_not_wait_long_for_elasticsearch(name: str) -> None:
    for component, one in of_kind(render(TABLE[name]), "Deployment").items():
        if component in WRITERS:
            collector = environment(container(one["spec"]["template"], "collector"))
            brief = collector.get("TIDEGATE_COLLECTOR__LAST_PASS_SECONDS") == "10"
            assert brief is (one["spec"]["strategy"]["type"] == "Recreate"), component


def test_the_startup_probe_lasts_as_long_as_a_replica_may_start() -> None:
    model = container(
        pods(render({"settings": {"replicas": {"start_seconds": 240}}}))["model"], "model"
    )
    probe = model["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 240
    assert probe["httpGet"]["path"] == "/ready"


def test_your_own_image() -> None:
    pod = pods(render(TABLE["own-image"]))["model"]
    model = container(pod, "model")
    assert model["image"] == "registry.example.org/shop:4"
    assert model["command"][:3] == ["tidegate", "serve", "shop.main:app"]
    assert model["ports"] == [{"name": "http", "containerPort": 9000}]
    assert model["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert model["livenessProbe"]["tcpSocket"] == {"port": "http"}
    assert model["lifecycle"] == {"preStop": {"sleep": {"seconds": 3}}}
    assert environment(model)["SHOP_REGION"] == "eu"
    assert {"name": "models", "mountPath": "/models", "readOnly": True} in model["volumeMounts"]
    assert pod["metadata"]["labels"]["team"] == "shop"


def test_who_may_connect_to_what() -> None:
    grafana = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "grafana"}}}
    lines, store = (
        [{"to": [{"ipBlock": {"cidr": cidr}}]}] for cidr in ("10.1.0.0/16", "10.2.0.0/16")
    )
    values = {
        "prometheusClients": [grafana],
        "modelEgress": lines,
        "collectorEgress": store,
    }
    policies = of_kind(render({"networkPolicy": values}), "NetworkPolicy")
    (queries,) = policies["prometheus"]["spec"]["ingress"]
    assert queries["from"] == [{"podSelector": {}}, grafana]
    # The collector is in the same pod.
    names, replicas, *others = policies["model"]["spec"]["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert others == lines + store
    # What the others of its rollout serve.
    assert replicas["to"] == [{"podSelector": policies["model"]["spec"]["podSelector"]}]
    requests, _ = policies["model"]["spec"]["ingress"]
    assert replicas["ports"] == requests["ports"]
    assert replicas["to"][0] in requests["from"]


def test_an_ingress_leads_to_the_gateway() -> None:
    assert not of_kind(render({}), "Ingress")
    objects = render({"gateway": {"ingress": {"host": "models.example.org", "tlsSecret": "tls"}}})
    spec = of_kind(objects, "Ingress")["gateway"]["spec"]
    assert spec["tls"] == [{"hosts": ["models.example.org"], "secretName": "tls"}]
    (rule,) = spec["rules"]
    (path,) = rule["http"]["paths"]
    service = path["backend"]["service"]
    ports = of_kind(objects, "Service")["gateway"]["spec"]["ports"]
    assert (rule["host"], service["name"]) == ("models.example.org", f"{FULL}-gateway")
    assert service["port"]["name"] in {port["name"] for port in ports}


def test_a_list_of_mappings_becomes_toml() -> None:
    found = settings_of(render(TABLE["everything"]))
    assert found["autoscaler"]["schedule"] == [
        {"cron": "0 8 * * 1-5", "minutes": 600, "min": 3, "max": 6}
    ]
    assert found["slots"]["paths"] == ["/predict", "/v2/"]
