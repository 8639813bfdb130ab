"""KEDA in a cluster: its own manifests, with the images of scripts/kubernetes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from support.eventually import eventually
from support.kubernetes.client import Kubectl
from support.kubernetes.programs import CACHE

SOURCE: Final = CACHE / "keda" / "config" / "default"
PROGRAMS: Final = ("keda-operator", "keda-adapter", "keda-webhooks")
IMAGES: Final = tuple(
    f"tidegate-test/{name}"
    for name in ("keda", "keda-metrics-apiserver", "keda-admission-webhooks")
)
DEPLOYMENTS: Final = ("keda-operator", "keda-metrics-apiserver", "keda-admission")
NAMESPACE: Final = "keda"
READY_SECONDS: Final = 180.0


def start(kubectl: Kubectl) -> None:
    """Install it; returns at once."""
    documents = list(yaml.safe_load_all(kubectl.run("kustomize", str(SOURCE))))
    for one in documents:
        if one["kind"] == "Deployment":
            _use_built_image(one)
    kubectl.apply(*(one for one in documents if one["kind"] == "Namespace"))
    kubectl.apply(*(one for one in documents if one["kind"] != "Namespace"))


def wait_until_served(kubectl: Kubectl) -> None:
    """Wait until all of it runs and its metrics API answers."""
    for name in DEPLOYMENTS:
        kubectl.rollout(name, namespace=NAMESPACE, seconds=READY_SECONDS)
    eventually(
        lambda: kubectl.succeeds("get", "--raw", "/apis/external.metrics.k8s.io/v1beta1"),
        "KEDA's metrics API",
        seconds=READY_SECONDS,
    )


def _use_built_image(deployment: dict[str, Any]) -> None:
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    name = Path(container["image"].partition(":")[0]).name
    container |= {"image": f"tidegate-test/{name}", "imagePullPolicy": "Never"}
    # A machine with two cores has room for everything then.
    container["resources"]["requests"] = {"cpu": "10m", "memory": "32Mi"}
