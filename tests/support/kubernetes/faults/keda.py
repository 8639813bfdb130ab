"""KEDA's operator and metrics adapter as processes beside a control plane without a node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.eventually import eventually
from support.kubernetes.certificates import Authority
from support.kubernetes.control_plane import ControlPlane
from support.kubernetes.processes import Processes
from support.kubernetes.programs import CACHE, program

SOURCE: Final = CACHE / "keda"
"""KEDA's own manifests."""
PROGRAMS: Final = ("keda-operator", "keda-adapter")
NAMESPACE: Final = "keda"
ADAPTER_PORT: Final = 16443
GROUP: Final = "external.metrics.k8s.io"
START_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Keda:
    """KEDA in one cluster.

    Attributes:
        plane: the control plane, on an address that is not a loopback one.
        processes: where its programs run.
        folder: for its certificates.
    """

    plane: ControlPlane
    processes: Processes
    folder: Path

    def start(self) -> None:
        """Install its definitions and start it; returns when it serves metrics."""
        kubectl = self.plane.kubectl()
        bases = SOURCE / "config" / "crd" / "bases"
        kubectl.run("apply", "--server-side", "-f", str(bases), seconds=120)
        kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        kubectl.apply(*self._service(), namespace=NAMESPACE)
        kubectl.apply(*reading_rights(GROUP))
        self._issue_certificates()
        self.start_operator()
        self.start_adapter()
        self.wait_until_served()

    def start_operator(self) -> None:
        """Start the operator."""
        self.processes.start(
            "keda-operator",
            [
                *self._environment(),
                *(program("keda-operator"), "--leader-elect", f"--cert-dir={self.folder}"),
                *("--enable-cert-rotation=false", "--enable-webhook-patching=false"),
                *("--enable-apiservice-patching=false", "--metrics-bind-address=127.0.0.1:18080"),
                *("--health-probe-bind-address=127.0.0.1:18081", "--zap-log-level=info"),
                "--metrics-service-bind-address=127.0.0.1:9666",
            ],
        )

    def start_adapter(self) -> None:
        """Start the adapter, which answers what the HPA asks."""
        own = self.plane.kubeconfig()
        self.processes.start(
            "keda-adapter",
            [
                *self._environment(),
                *(program("keda-adapter"), f"--secure-port={ADAPTER_PORT}"),
                *(f"--lister-kubeconfig={own}", f"--authentication-kubeconfig={own}"),
                *(f"--authorization-kubeconfig={own}", f"--cert-dir={self.folder}"),
                *(f"--tls-cert-file={self.folder}/tls.crt", "--port=18082"),
                f"--tls-private-key-file={self.folder}/tls.key",
                "--metrics-service-address=127.0.0.1:9666",
            ],
        )

    def wait_until_served(self) -> None:
        """Wait until the API server forwards requests for metrics to the adapter."""
        kubectl = self.plane.kubectl()

        def served() -> bool:
            for name in PROGRAMS:
                self.processes.check(name)
            return kubectl.succeeds("get", "--raw", f"/apis/{GROUP}/v1beta1")

        eventually(served, "KEDA's metrics", seconds=START_SECONDS, every=0.5)

    def _environment(self) -> list[str]:
        return [
            *("env", f"KUBECONFIG={self.plane.kubeconfig()}", "WATCH_NAMESPACE="),
            *(
                f"POD_NAMESPACE={NAMESPACE}",
                f"KEDA_CLUSTER_OBJECT_NAMESPACE={NAMESPACE}",
                "KEDA_HTTP_DEFAULT_TIMEOUT=3000",
            ),
        ]

    def _issue_certificates(self) -> None:
        authority = Authority.create(self.folder, "ca")
        names = ("IP:127.0.0.1", f"IP:{self.plane.address}", "DNS:localhost")
        authority.issue("tls", "/CN=keda", names=names)

    def _service(self) -> list[dict[str, Any]]:
        return aggregated(
            "keda-metrics-apiserver",
            f"{GROUP}/v1beta1",
            namespace=NAMESPACE,
            address=self.plane.address,
            port=ADAPTER_PORT,
        )


def aggregated(
    name: str, group_version: str, *, namespace: str, address: str, port: int
) -> list[dict[str, Any]]:
    """The objects by which the API server forwards an API group to a process on the node."""
    group, version = group_version.split("/")
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": port}],
            "endpoints": [{"addresses": [address]}],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": f"{version}.{group}"},
            "spec": {
                "group": group,
                "version": version,
                "service": {"name": name, "namespace": namespace},
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,
            },
        },
    ]


def reading_rights(group: str) -> list[dict[str, Any]]:
    """The rights of the HPA controller to read metrics of a group, as KEDA's manifests grant them."""
    name = f"read-{group}"
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [{"apiGroups": [group], "resources": ["*"], "verbs": ["get", "list"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": name,
            },
            "subjects": [
                {
                    "kind": "ServiceAccount",
                    "name": "horizontal-pod-autoscaler",
                    "namespace": "kube-system",
                }
            ],
        },
    ]
