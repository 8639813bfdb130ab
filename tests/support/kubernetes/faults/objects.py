"""The Kubernetes objects of each way of scaling: those of the chart, and those that people write."""

from __future__ import annotations

from typing import Any, Final

import yaml

from support.kubernetes.chart import CHART
from support.kubernetes.client import Kubectl
from support.kubernetes.faults.settings import (
    IDLE_SECONDS,
    MAX_REPLICAS,
    MIN_REPLICAS,
    POLL_SECONDS,
)

DEPLOYMENT: Final = "tidegate-model"
REQUESTS_PER_REPLICA: Final = "5"
PRUNED: Final = frozenset({"ServiceAccount", "Role", "RoleBinding", "ScaledObject"})
"""What the chart installs and these tests need; its processes run beside the cluster."""
# A loss must show at once.
AT_ONCE: Final = {"scaleDown": {"stabilizationWindowSeconds": 0}}


def of_chart(kubectl: Kubectl, namespace: str, mode: str, prometheus: str) -> list[dict[str, Any]]:
    """The objects that the chart installs for a mode of scaling, and the Deployment that is scaled."""
    values = {
        "scaling.mode": mode,
        "scaling.keda.pollingSeconds": POLL_SECONDS,
        "prometheus.mode": "external",
        "prometheus.url": prometheus,
        "elasticsearch.url": "http://elasticsearch.invalid:9200",
        "settings.replicas.min": MIN_REPLICAS,
        "settings.replicas.max": MAX_REPLICAS,
        "settings.autoscaler.idle_seconds": IDLE_SECONDS,
        # Not 300 s, so that a loss shows.
        "settings.autoscaler.hpa.down_stabilization_seconds": 1,
    }
    chosen = [part for name, value in values.items() for part in ("--set", f"{name}={value}")]
    text = kubectl.helm(
        *("template", "tidegate", str(CHART), "--namespace", namespace),
        *("--api-versions", "keda.sh/v1alpha1", *chosen),
    )
    documents = [one for one in yaml.safe_load_all(text) if one]
    return [deployment(), *(one for one in documents if one["kind"] in PRUNED)]


def deployment() -> dict[str, Any]:
    """A Deployment without a number of its own; its pods never run, as there is no node."""
    labels = {"app": DEPLOYMENT}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": DEPLOYMENT},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "model", "image": "tidegate-test/model"}]},
            },
        },
    }


def keda_defaults(prometheus: str) -> list[dict[str, Any]]:
    """A prometheus trigger as in KEDA's documentation: nothing but the query and its target."""
    return [
        deployment(),
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": DEPLOYMENT},
            "spec": {
                "scaleTargetRef": {"name": DEPLOYMENT},
                "pollingInterval": POLL_SECONDS,
                "cooldownPeriod": IDLE_SECONDS,
                "maxReplicaCount": MAX_REPLICAS,
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": AT_ONCE}},
                "triggers": [
                    {
                        "type": "prometheus",
                        "metadata": {
                            "serverAddress": prometheus,
                            "query": "sum(rate(haproxy_backend_sessions_total[1m]))",
                            "threshold": REQUESTS_PER_REPLICA,
                        },
                    }
                ],
            },
        },
    ]


def plain_hpa() -> list[dict[str, Any]]:
    """An HPA on requests per second, as prometheus-adapter offers them."""
    return [
        deployment(),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "gateway"},
            "spec": {"ports": [{"port": 80}]},
        },
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": DEPLOYMENT},
            "spec": {
                "scaleTargetRef": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": DEPLOYMENT,
                },
                "minReplicas": 1,
                "maxReplicas": MAX_REPLICAS,
                "behavior": AT_ONCE,
                "metrics": [
                    {
                        "type": "Object",
                        "object": {
                            "describedObject": {
                                "apiVersion": "v1",
                                "kind": "Service",
                                "name": "gateway",
                            },
                            "metric": {"name": "requests_per_second"},
                            "target": {
                                "type": "AverageValue",
                                "averageValue": REQUESTS_PER_REPLICA,
                            },
                        },
                    }
                ],
            },
        },
    ]
