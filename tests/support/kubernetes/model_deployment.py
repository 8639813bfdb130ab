"""The Deployment of a model in a namespace of its own, and accounts with the rights that a test names."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.eventually import eventually
from support.kubernetes.certificates import kubeconfig
from support.kubernetes.control_plane import ControlPlane

WAIT_SECONDS = 60.0
# The rights that the chart gives the resizer.
RESIZER_RULES: list[dict[str, Any]] = [
    {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "resourceNames": ["model"],
        "verbs": ["get"],
    },
    {
        "apiGroups": ["apps"],
        "resources": ["deployments/scale"],
        "resourceNames": ["model"],
        "verbs": ["get", "patch"],
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]
# Those that it gives the gateway.
GATEWAY_RULES: list[dict[str, Any]] = [
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list"]}
]


@dataclass
class ModelDeployment:
    """The Deployment `model` in a namespace; what a kubelet would report of its pods the test does."""

    plane: ControlPlane
    namespace: str
    folder: Path

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.plane.kubectl().run(*arguments, "-n", self.namespace, text=text)

    def create(self, replicas: int = 1) -> None:
        template = {
            "metadata": {"labels": {"app": "model"}},
            "spec": {"containers": [{"name": "model", "image": "model"}]},
        }
        self.plane.kubectl().apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "model"},
                "spec": {
                    "replicas": replicas,
                    "selector": {
                        "matchExpressions": [{"key": "app", "operator": "In", "values": ["model"]}]
                    },
                    "template": template,
                },
            },
            namespace=self.namespace,
        )

    def account(self, rules: list[dict[str, Any]]) -> Path:
        """The kubeconfig file of a new service account with these rights."""
        name = f"account-{secrets.token_hex(4)}"
        api = "rbac.authorization.k8s.io"
        self.plane.kubectl().apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {
                "apiVersion": f"{api}/v1",
                "kind": "Role",
                "metadata": {"name": name},
                "rules": rules,
            },
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name}],
            },
            namespace=self.namespace,
        )
        path = self.folder / f"{name}.kubeconfig"
        kubeconfig(
            path,
            server=self.plane.url,
            authority=str(self.plane.pki / "ca.crt"),
            token=self.kubectl("create", "token", name).strip(),
        )
        return path

    def set_rules(self, kubeconfig_file: Path, rules: list[dict[str, Any]]) -> None:
        """Change the rights of an account."""
        self.kubectl(
            *("patch", "role", kubeconfig_file.stem, "--type=merge"),
            *("-p", json.dumps({"rules": rules})),
        )

    @property
    def replicas(self) -> int:
        """`spec.replicas`."""
        return int(
            json.loads(self.kubectl("get", "deployment", "model", "-o", "json"))["spec"]["replicas"]
        )

    def pods(self) -> list[str]:
        """The names of its pods, oldest first."""
        items = self.plane.kubectl().items(
            "pods", "-n", self.namespace, "--sort-by=.metadata.creationTimestamp"
        )
        return [item["metadata"]["name"] for item in items]

    def wait_for_pods(self, count: int) -> list[str]:
        eventually(lambda: len(self.pods()) == count, f"{count} pods", seconds=WAIT_SECONDS)
        return self.pods()

    def report(self, pod: str, status: dict[str, Any]) -> None:
        """Set the status of a pod, as its kubelet does."""
        self.kubectl(
            *("patch", "pod", pod, "--subresource=status", "--type=merge"),
            *("-p", json.dumps({"status": status})),
        )

    def make_ready(self, pod: str) -> None:
        moment = "2099-01-01T00:00:00Z"  # after its creation
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": moment}]
        self.report(pod, {"phase": "Running", "conditions": conditions})
