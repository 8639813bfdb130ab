"""The Helm chart, rendered by the real helm."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from support.checkout import ROOT
from support.commands import run
from support.components import unavailable
from support.kubernetes.programs import missing, program

CHART: Final = ROOT / "deploy" / "helm" / "tidegate"
RELEASE: Final = "shop"
NAMESPACE: Final = "models"
FULL: Final = f"{RELEASE}-tidegate"
URL: Final = "https://elasticsearch.logging:9200"
KEDA: Final = "keda.sh/v1alpha1"
OPERATOR: Final = "monitoring.coreos.com/v1"
# What the chart needs to know of a cluster: KEDA and the Prometheus Operator are there.
EVERYTHING: Final = (KEDA, OPERATOR)
WORKLOADS: Final = ("Deployment", "Job")

Values = Mapping[str, Any]
Object = dict[str, Any]

# A table of values that together use every template and every branch.
SECURED: Final = {
    "elasticsearch": {
        "ca": {"secret": "elasticsearch-ca"},
        "credentials": {"secret": "elasticsearch-accounts"},
        "setup": {"secret": "elasticsearch-admin"},
    },
    "kibana": {
        "url": "https://kibana.logging:5601",
        "secret": "elasticsearch-admin",
        "ca": {"secret": "kibana-ca"},
    },
}
TABLE: Final[dict[str, Values]] = {
    "none": {"scaling": {"mode": "none"}},
    "resizer": {"scaling": {"mode": "resizer"}},
    "keda-external": {"scaling": {"mode": "keda-external"}},
    "keda-metrics-api": {"scaling": {"mode": "keda-metrics-api"}},
    "hpa": {"scaling": {"mode": "hpa"}},
    "zero": {"scaling": {"mode": "keda-external"}, "settings": {"replicas": {"min": 0}}},
    "hpa-zero": {"scaling": {"mode": "hpa"}, "settings": {"replicas": {"min": 0}}},
    "secured": {**SECURED, "scaling": {"mode": "resizer"}},
    "logstash": {
        "logstash": {
            "url": "http://logstash.logging:8080",
            "secret": "logstash",
            "monitoringUrl": "http://logstash.logging:9600",
        }
    },
    "operator": {
        "prometheus": {
            "mode": "operator",
            "url": "http://prometheus.monitoring:9090",
            "labels": {"release": "prometheus"},
        }
    },
    "external": {"prometheus": {"mode": "external", "url": "http://prometheus.monitoring:9090"}},
    "ipv6": {"ipFamily": "IPv6"},
    "own-image": {
        "model": {
            "image": {"repository": "registry.example.org/shop", "tag": "4"},
            "command": ["tidegate", "serve", "shop.main:app", "--host", "0.0.0.0"],
            "args": ["--port", "9000"],
            "port": 9000,
            "livePath": "",
            "env": [{"name": "SHOP_REGION", "value": "eu"}],
            "envFrom": [{"secretRef": {"name": "shop"}}],
            "preStop": {"sleep": {"seconds": 3}},
            "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
            "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
            "podLabels": {"team": "shop"},
            "podAnnotations": {"team": "shop"},
            "nodeSelector": {"accelerator": "yes"},
            "tolerations": [{"key": "accelerator", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "priorityClassName": "high",
            "maxUnavailable": "10%",
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
            ],
        },
        "settings": {"service": {"name": "shop"}, "replicas": {"ready_path": "/healthz"}},
    },
    "everything": {
        **SECURED,
        "scaling": {"mode": "keda-external"},
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"pool": "small"},
        "tolerations": [{"key": "small", "operator": "Exists"}],
        "grafana": {"dashboards": True},
        "monitor": {"console": True},
        "prometheus": {
            "alertmanager": "alertmanager.monitoring",
            "storage": {"size": "10Gi", "className": "fast"},
        },
        "secrets": {"existing": "shop-secrets"},
        "gateway": {
            "service": {"type": "LoadBalancer", "annotations": {"internal": "yes"}},
            "ingress": {
                "host": "models.example.org",
                "className": "nginx",
                "tlsSecret": "models-tls",
                "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "90"},
            },
            "nodeSelector": {"pool": "edge"},
        },
        "networkPolicy": {
            "clients": [{"namespaceSelector": {"matchLabels": {"web": "yes"}}}],
            "modelEgress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}],
            "collectorEgress": [{"to": [{"ipBlock": {"cidr": "10.2.0.0/16"}}]}],
            "prometheusClients": [{"namespaceSelector": {"matchLabels": {"grafana": "yes"}}}],
        },
        "settings": {
            "autoscaler": {
                "schedule": [{"cron": "0 8 * * 1-5", "minutes": 600, "min": 3, "max": 6}]
            },
            "slots": {"paths": ["/predict", "/v2/"]},
        },
    },
    "examples/own-app": yaml.safe_load((ROOT / "examples" / "own-app" / "values.yaml").read_text()),
    "bare": {
        "scaling": {"mode": "none"},
        "monitor": {"enabled": False},
        "networkPolicy": {"enabled": False},
    },
}


def require_helm() -> None:
    """Skip the test, or fail where all components are required, if helm is not built."""
    if missing("helm"):
        unavailable("helm is not built: run `scripts/kubernetes tools`, ten minutes")


def helm(*arguments: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm, with values in a file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "values.yaml"
        file.write_text(json.dumps(values or {}), encoding="utf-8")
        return run(program("helm"), *arguments, *(["--values", str(file)] if values else []))


def with_url(values: Values) -> Values:
    """The values, with the URL of Elasticsearch, which is required."""
    return {**values, "elasticsearch": {"url": URL, **values.get("elasticsearch", {})}}


def template(
    values: Values, apis: Iterable[str] = EVERYTHING, release: str = RELEASE
) -> subprocess.CompletedProcess[str]:
    """`helm template`, for a cluster with these APIs."""
    require_helm()
    return helm(
        *("template", release, str(CHART), "--namespace", NAMESPACE),
        *(word for api in apis for word in ("--api-versions", api)),
        values=values,
    )


def render(values: Values) -> list[Object]:
    """The objects of the chart with these values and an Elasticsearch."""
    return json.loads(_render(json.dumps(with_url(values))))  # type: ignore[no-any-return]


@functools.cache
def _render(values: str) -> str:
    done = template(json.loads(values))
    assert done.returncode == 0, done.stderr
    return json.dumps([one for one in yaml.safe_load_all(done.stdout) if one])


def refusal(values: Values, apis: Iterable[str] = (), release: str = RELEASE) -> str:
    """Why helm refuses the values: the sentence, without the place in the templates."""
    done = template(values, apis, release)
    assert done.returncode != 0, done.stdout[:300]
    lines = [line for line in done.stderr.splitlines() if line.strip() and "--debug" not in line]
    return re.sub(r"^(- |Error: execution error at \([^)]*\): )", "", lines[-1])


def of_kind(objects: Iterable[Object], *kinds: str) -> dict[str, Object]:
    """The objects of some kinds, by their names without the prefix."""
    return {
        one["metadata"]["name"].removeprefix(f"{FULL}-"): one
        for one in objects
        if one["kind"] in kinds
    }


def pods(objects: Iterable[Object]) -> dict[str, Object]:
    """The pod template of each Deployment and Job."""
    return {name: one["spec"]["template"] for name, one in of_kind(objects, *WORKLOADS).items()}


def containers(pod: Object) -> Iterator[Object]:
    """All containers of a pod template."""
    yield from pod["spec"].get("initContainers", [])
    yield from pod["spec"]["containers"]


def container(pod: Object, name: str) -> Object:
    """The container of a name."""
    (found,) = (one for one in containers(pod) if one["name"] == name)
    return found


def environment(one: Object) -> dict[str, Any]:
    """The environment of a container: values, or where they come from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in one.get("env", [])}
