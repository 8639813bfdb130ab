"""etcd, the API server and the controllers: for tests of manifests, RBAC and the scale subresource.

There is no node, so pods stay pending. `cluster.Cluster` adds one.
"""

from __future__ import annotations

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from support.eventually import eventually
from support.kubernetes.certificates import Authority, kubeconfig, signing_key
from support.kubernetes.client import Kubectl
from support.kubernetes.namespaces import Network
from support.kubernetes.processes import Processes
from support.kubernetes.programs import program
from support.ports import free_port, free_ports

PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE: Final = "node"
# User and groups of each token.
USERS: Final = {
    "admin": ("admin", "system:masters"),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
    "kube-proxy": ("system:kube-proxy", ""),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
}
START_SECONDS: Final = 120.0


@dataclass
class ControlPlane:
    """One control plane with all that it writes in one folder.

    etcd's peer port is the one after `etcd_port`; `service_address` is the first of `services`. Between two
    decisions of each HPA are `hpa_sync_seconds`; Kubernetes' default is 15.
    """

    folder: Path
    processes: Processes
    address: str
    port: int
    etcd_port: int
    services: str
    service_address: str
    hpa_sync_seconds: float = 5.0
    tokens: dict[str, str] = field(
        default_factory=lambda: {user: secrets.token_hex(16) for user in USERS}
    )

    @classmethod
    def inside(cls, network: Network, folder: Path, processes: Processes) -> ControlPlane:
        """One in namespaces of its own, with Kubernetes' usual ports."""
        return cls(
            folder,
            processes,
            address=network.node,
            port=6443,
            etcd_port=2379,
            services=network.services,
            service_address=network.api_service,
        )

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def has_node(self) -> bool:
        """Whether pods can run: it is in namespaces of its own, not on the loopback address."""
        return not self.address.startswith("127.")

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    def kubeconfig(self, user: str = "admin") -> Path:
        return self.pki / f"{user}.kubeconfig"

    def kubectl(self) -> Kubectl:
        """The kubectl of the administrator."""
        return Kubectl(self.kubeconfig())

    def start(self) -> None:
        """Start it; returns when the API server is ready."""
        self.write_credentials()
        self.processes.start("etcd", self._etcd())
        self.processes.start("kube-apiserver", self._api_server())
        self.wait_until_ready()
        self.processes.start("kube-controller-manager", self._controllers())
        self.wait_for_namespace("default")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """While the block runs, the API server accepts connections and answers nothing."""
        self.processes.send("kube-apiserver", signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes.send("kube-apiserver", signal.SIGCONT)

    def wait_until_ready(self) -> None:
        """Wait until the API server answers that it is ready."""
        eventually(self._is_ready, "the API server", seconds=START_SECONDS)

    def wait_for_namespace(self, name: str) -> None:
        """Wait until pods may be created in a namespace: until its service account exists."""
        eventually(
            lambda: self.kubectl().succeeds("get", "serviceaccount", "default", "-n", name),
            f"the service account of the namespace {name}",
            seconds=START_SECONDS,
        )

    def write_credentials(self) -> None:
        """Write certificates, tokens and kubeconfigs."""
        authority = Authority.create(self.pki, "ca")
        front = Authority.create(self.pki, "front-ca")
        here = ("IP:127.0.0.1", f"IP:{self.address}")
        names = [f"DNS:kubernetes{end}" for end in ("", ".default", ".default.svc")]
        names += ["DNS:kubernetes.default.svc.cluster.local", f"IP:{self.service_address}"]
        authority.issue("apiserver", "/CN=kube-apiserver", names=(*here, *names))
        authority.issue("apiserver-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        authority.issue(
            "kubelet", f"/O=system:nodes/CN=system:node:{NODE}", names=(*here, f"DNS:{NODE}")
        )
        front.issue("front-client", "/CN=front-proxy-client")
        signing_key(self.pki)
        rows = [
            f'{self.tokens[user]},{name},{user},"{groups}"'
            for user, (name, groups) in USERS.items()
        ]
        (self.pki / "tokens.csv").write_text("\n".join(rows) + "\n")
        for user, token in self.tokens.items():
            kubeconfig(
                self.kubeconfig(user),
                server=self.url,
                authority=authority.certificate,
                token=token,
            )

    def _etcd(self) -> list[str]:
        client, peer = (f"http://127.0.0.1:{self.etcd_port + offset}" for offset in (0, 1))
        return [
            *(program("etcd"), "--name=tests", f"--data-dir={self.folder / 'etcd'}"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            *(f"--initial-cluster=tests={peer}", "--unsafe-no-fsync", "--log-level=warn"),
        ]

    def _api_server(self) -> list[str]:
        pki = self.pki
        issuer = "https://kubernetes.default.svc.cluster.local"
        return [
            program("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            *(f"--bind-address={self.address}", f"--secure-port={self.port}"),
            *(f"--advertise-address={self.address}", f"--service-cluster-ip-range={self.services}"),
            # The Endpoints of the Service `kubernetes` may not be a loopback address.
            *([] if self.has_node else ["--endpoint-reconciler-type=none"]),
            *(
                f"--tls-cert-file={pki}/apiserver.crt",
                f"--tls-private-key-file={pki}/apiserver.key",
            ),
            *(f"--client-ca-file={pki}/ca.crt", f"--token-auth-file={pki}/tokens.csv"),
            *("--authorization-mode=Node,RBAC", "--anonymous-auth=false"),
            f"--service-account-issuer={issuer}",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--requestheader-client-ca-file={pki}/front-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki}/front-client.crt",
            f"--proxy-client-key-file={pki}/front-client.key",
            f"--kubelet-client-certificate={pki}/apiserver-client.crt",
            f"--kubelet-client-key={pki}/apiserver-client.key",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            *("--enable-aggregator-routing=true", "--allow-privileged=true", "--profiling=false"),
        ]

    def _controllers(self) -> list[str]:
        own = self.kubeconfig("kube-controller-manager")
        return [
            *(program("kube-controller-manager"), f"--kubeconfig={own}"),
            *(f"--authentication-kubeconfig={own}", f"--authorization-kubeconfig={own}"),
            *("--bind-address=127.0.0.1", "--secure-port=0", "--leader-elect=false"),
            *("--use-service-account-credentials=true", f"--root-ca-file={self.pki}/ca.crt"),
            f"--service-account-private-key-file={self.pki}/service-accounts.key",
            f"--horizontal-pod-autoscaler-sync-period={self.hpa_sync_seconds:g}s",
            # It takes a pod that terminates without a node for one that has failed.
            *([] if self.has_node else ["--controllers=*,-pod-garbage-collector-controller"]),
        ]

    def _is_ready(self) -> bool:
        for name in ("etcd", "kube-apiserver"):
            self.processes.check(name)
        return self.kubectl().succeeds("get", "--raw", "/readyz", "--request-timeout=5s")


@contextmanager
def running(folder: Path) -> Iterator[ControlPlane]:
    """A control plane on loopback ports, without a node, that ends with the block."""
    processes = Processes(folder / "logs")
    plane = ControlPlane(
        folder,
        processes,
        address="127.0.0.1",
        port=free_port(),
        etcd_port=free_ports(2),
        services="10.96.0.0/24",
        service_address="10.96.0.1",
    )
    try:
        plane.start()
        yield plane
    finally:
        processes.stop_all()
