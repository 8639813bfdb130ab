"""The control plane that the tests of this folder share: a real API server with its controllers."""

from __future__ import annotations

from typing import Any

from support.eventually import eventually
from support.kubernetes.control_plane import ControlPlane

NAMESPACE = "control-plane"
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "model"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "model"}},
        "template": {
            "metadata": {"labels": {"app": "model"}},
            "spec": {"containers": [{"name": "model", "image": "model"}]},
        },
    },
}


def test_a_deployment_gets_its_pods_and_an_account_only_its_rights(
    control_plane: ControlPlane,
) -> None:
    kubectl = control_plane.kubectl()
    kubectl.run("create", "namespace", NAMESPACE)
    control_plane.wait_for_namespace(NAMESPACE)
    kubectl.apply(DEPLOYMENT, namespace=NAMESPACE)
    pods = eventually(
        lambda: (
            kubectl.items("pods", "-n", NAMESPACE)[1:] and kubectl.items("pods", "-n", NAMESPACE)
        ),
        "two pods of the deployment",
        seconds=30,
    )
    assert {pod["status"]["phase"] for pod in pods} == {"Pending"}  # there is no node

    account = f"--as=system:serviceaccount:{NAMESPACE}:default"
    scale = ("scale", "deployment/model", "--replicas=3", "-n", NAMESPACE)
    refused = kubectl.call(*scale, account)
    assert refused.returncode == 1
    assert "forbidden" in refused.stderr
    kubectl.run(*scale)
    assert kubectl.get("deployment", "model", "-n", NAMESPACE)["spec"]["replicas"] == 3


def test_a_strict_dry_run_refuses_an_unknown_field(control_plane: ControlPlane) -> None:
    kubectl = control_plane.kubectl()
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"wrong"},"dta":{}}'
    done = kubectl.call(*("create", "--dry-run=server", "--validate=strict", "-f", "-"), text=text)
    assert done.returncode == 1
    assert 'unknown field "dta"' in done.stderr
