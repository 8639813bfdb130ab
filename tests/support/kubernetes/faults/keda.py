"""KEDA's operator and metrics adapter as processes beside a control plane without a node."""

from __future__ import annotations

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


def start(plane: ControlPlane, processes: Processes, folder: Path) -> None:
    """Install its definitions and start it; returns when it serves metrics.

    The address of the control plane is not a loopback one. The folder is for certificates.
    """
    kubectl, own = plane.kubectl(), plane.kubeconfig()
    bases = SOURCE / "config" / "crd" / "bases"
    kubectl.run("apply", "--server-side", "-f", str(bases), seconds=120)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    service = aggregated(
        "keda-metrics-apiserver",
        f"{GROUP}/v1beta1",
        namespace=NAMESPACE,
        address=plane.address,
        port=ADAPTER_PORT,
    )
    kubectl.apply(*service, namespace=NAMESPACE)
    kubectl.apply(*reading_rights(GROUP))
    authority = Authority.create(folder, "ca")
    names = ("IP:127.0.0.1", f"IP:{plane.address}", "DNS:localhost")
    authority.issue("tls", "/CN=keda", names=names)
    environment = (
        *("env", f"KUBECONFIG={own}", "WATCH_NAMESPACE=", f"POD_NAMESPACE={NAMESPACE}"),
        *(f"KEDA_CLUSTER_OBJECT_NAMESPACE={NAMESPACE}", "KEDA_HTTP_DEFAULT_TIMEOUT=3000"),
    )
    processes.start(
        "keda-operator",
        [
            *environment,
            *(program("keda-operator"), "--leader-elect", f"--cert-dir={folder}"),
            *("--enable-cert-rotation=false", "--enable-webhook-patching=false"),
            *("--enable-apiservice-patching=false", "--metrics-bind-address=127.0.0.1:18080"),
            *("--health-probe-bind-address=127.0.0.1:18081", "--zap-log-level=info"),
            "--metrics-service-bind-address=127.0.0.1:9666",
        ],
    )
    # The adapter answers what the HPA asks.
    processes.start(
        "keda-adapter",
        [
            *environment,
            *(program("keda-adapter"), f"--secure-port={ADAPTER_PORT}"),
            *(f"--lister-kubeconfig={own}", f"--authentication-kubeconfig={own}"),
            *(f"--authorization-kubeconfig={own}", f"--cert-dir={folder}"),
            *(f"--tls-cert-file={folder}/tls.crt", "--port=18082"),
            f"--tls-private-key-file={folder}/tls.key",
            "--metrics-service-address=127.0.0.1:9666",
        ],
    )

    def served() -> bool:
        for name in PROGRAMS:
            processes.check(name)
        return kubectl.succeeds("get", "--raw", f"/apis/{GROUP}/v1beta1")

    eventually(served, "KEDA's metrics", seconds=START_SECONDS, every=0.5)


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
