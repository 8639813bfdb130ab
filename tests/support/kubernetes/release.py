"""The chart in a cluster, with an Elasticsearch: what a person gets from `helm install`."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import elasticsearch
import yaml

from support import prometheus_queries
from support.checkout import ROOT
from support.eventually import eventually
from support.kubernetes.chart import CHART
from support.kubernetes.client import Kubectl
from support.kubernetes.cluster import Cluster
from support.processes.load import Load, load

STORE_NAMESPACE: Final = "logging"
ACCOUNTS: Final = "elasticsearch-accounts"
NAME: Final = "flights"
READY_SECONDS: Final = 240.0
QUEUE_SECONDS: Final = 150
ANSWER_SECONDS: Final = 60.0
# What a machine with two cores needs: small requests for CPU. A request holds its slot for some time as an
# accelerator would, so that a few requests a second fill a replica. The policy scales in within a test, so it
# has no reserve for bursts, which would last an hour longer.
VALUES: Final[dict[str, Any]] = {
    "settings": {
        "device": {"simulated": True},
        "autoscaler": {
            "tick_seconds": 2,
            "idle_seconds": 5,
            "policy": "sloq:down_seconds=5,coverage=0",
        },
        "replicas": {"min": 1, "max": 5},
    },
    "elasticsearch": {
        "url": f"http://elasticsearch.{STORE_NAMESPACE}:9200",
        "credentials": {"secret": ACCOUNTS},
        "setup": {"secret": ACCOUNTS, "users": "given"},
    },
    "model": {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}},
    "monitor": {"enabled": False},
    "prometheus": {
        "image": {
            "repository": "tidegate-test/prometheus-kubernetes",
            "tag": "latest",
            "pullPolicy": "Never",
        },
    },
}


@dataclass(frozen=True)
class Store:
    """The Elasticsearch of a cluster."""

    url: str
    accounts: dict[str, str]

    def client(self) -> elasticsearch.Elasticsearch:
        """A client that may do everything."""
        return elasticsearch.Elasticsearch(
            self.url,
            basic_auth=("elastic", self.accounts["elastic"]),
            request_timeout=ANSWER_SECONDS,
        )

    def requests(self, namespace: str) -> dict[int, int]:
        """How many events of requests a release has delivered, by the status of the response."""
        index = f"logs-tidegate.request-{namespace}"
        by_status = {"terms": {"field": "http.response.status_code"}}
        with self.client() as client:
            if not client.indices.exists(index=index):
                return {}
            client.indices.refresh(index=index)
            found = client.search(index=index, size=0, aggs={"status": by_status})
        buckets = found["aggregations"]["status"]["buckets"]
        return {int(one["key"]): int(one["doc_count"]) for one in buckets}


def start_store(cluster: Cluster) -> Store:
    """Start an Elasticsearch in the cluster; returns at once."""
    names = ("elastic", "writer", "reader", "viewer", "kibana_system")
    accounts = {name: secrets.token_hex(16) for name in names}
    cluster.create_namespace(STORE_NAMESPACE)
    kubectl = cluster.kubectl()
    kubectl.apply(_secret(accounts), namespace=STORE_NAMESPACE)
    kubectl.apply(
        Path(__file__).with_name("elasticsearch.yaml").read_text(), namespace=STORE_NAMESPACE
    )
    return Store(cluster.url("elasticsearch", 9200, namespace=STORE_NAMESPACE), accounts)


def _secret(accounts: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": ACCOUNTS},
        "stringData": accounts,
    }


@dataclass(frozen=True)
class Release:
    """An installed chart, in a namespace of its own. The namespace of its events has the same name."""

    cluster: Cluster
    store: Store
    namespace: str

    @property
    def kubectl(self) -> Kubectl:
        return self.cluster.kubectl()

    @property
    def gateway(self) -> str:
        return self.cluster.url(f"{NAME}-tidegate-gateway", 8000, namespace=self.namespace)

    @property
    def prometheus(self) -> str:
        return self.cluster.url(f"{NAME}-tidegate-prometheus", 9090, namespace=self.namespace)

    @property
    def model(self) -> str:
        """The name of the Deployment that is scaled."""
        return f"{NAME}-tidegate-model"

    def install(self, values: dict[str, Any], *flags: str, wait: bool = True) -> None:
        """`helm upgrade --install` with these values in addition to VALUES."""
        path = self.cluster.folder / f"{self.namespace}.yaml"
        network = self.cluster.network
        own = {
            "settings": {
                "service": {"namespace": self.namespace},
                # A load comes from one address and may wait long where pods start slowly.
                "gateway": {
                    "queue_seconds": QUEUE_SECONDS,
                    "unlimited_sources": ["127.0.0.0/8", network.host, network.node, network.pods],
                },
                "slots": {"wait_seconds": QUEUE_SECONDS},
            }
        }
        path.write_text(yaml.safe_dump(merged(merged(VALUES, own), values)))
        self.kubectl.helm(
            *("upgrade", "--install", NAME, str(CHART), "--namespace", self.namespace),
            *("--values", str(path), "--timeout", f"{READY_SECONDS:g}s", *flags),
            *(("--wait", "--wait-for-jobs") if wait else ()),
            seconds=READY_SECONDS + 60,
        )

    def uninstall(self) -> None:
        """`helm uninstall`; returns when its objects are gone."""
        self.kubectl.helm("uninstall", NAME, "--namespace", self.namespace, "--wait")

    def replicas(self) -> dict[str, int]:
        """How many pods the Deployment should have, has, and has ready."""
        found = self.kubectl.get("deployment", self.model, "-n", self.namespace)
        status = found["status"]
        return {
            "desired": int(found["spec"]["replicas"]),
            "running": int(status.get("replicas", 0)),
            "ready": int(status.get("readyReplicas", 0)),
        }

    def pods(self, component: str = "model") -> dict[str, str]:
        """The addresses of a component's pods by their names, also of those that are ending."""
        chosen = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}"
        found = self.kubectl.items("pods", "-n", self.namespace, "-l", chosen)
        return {one["metadata"]["name"]: one["status"].get("podIP", "") for one in found}

    def wait_for_replicas(self, least: int, most: int, *, seconds: float) -> None:
        """Wait until the number of pods, wanted and present, is within these bounds."""

        def within() -> bool:
            found = self.replicas()
            return all(least <= found[one] <= most for one in ("desired", "running"))

        eventually(within, f"{least} to {most} replicas", seconds=seconds, every=0.5)

    def value(self, expression: str) -> float | None:
        """The first value of an expression in Prometheus."""
        return prometheus_queries.value(self.prometheus, expression)

    def alerts(self) -> set[str]:
        """The names of the alerts that fire."""
        found = prometheus_queries.read(self.prometheus, "alerts")["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}

    def predict(self, *, seconds: float = 90) -> int:
        """Send one request; returns the status of its response."""
        with (ROOT / "artefacts" / "flights" / "samples.ndjson").open() as rows:
            row = json.loads(rows.readline())
        request = urllib.request.Request(
            f"{self.gateway}/predict",
            data=json.dumps({"instances": [row]}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=seconds) as response:
            return int(response.status)

    def load(self, folder: Path, phases: str) -> AbstractContextManager[Load]:
        """Send a load through the gateway while the block runs; its phases are TOML's inline tables."""
        return load(
            folder,
            # The address of a Service, which is routed on this machine alone.
            *(self.gateway, "--allow-remote", "--prometheus", self.prometheus),
            *("--rows", str(ROOT / "artefacts" / "flights" / "samples.ndjson")),
            *("--timeout", f"{QUEUE_SECONDS + 30}"),
            phases=phases,
            arrivals="poisson",
        )


@contextmanager
def released(
    cluster: Cluster, store: Store, namespace: str, values: dict[str, Any], *, wait: bool = True
) -> Iterator[Release]:
    """The chart with these values in addition to VALUES, uninstalled at the end."""
    cluster.create_namespace(namespace)
    cluster.kubectl().apply(_secret(store.accounts), namespace=namespace)
    release = Release(cluster, store, namespace)
    release.install(values, wait=wait)
    yield release
    release.uninstall()


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two trees of values, as helm merges them."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            result[key] = merged(old, value)
        else:
            result[key] = value
    return result
