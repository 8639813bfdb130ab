"""One node: containerd, kubelet, kube-proxy, the network of pods, and the images."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from support.commands import succeeds
from support.eventually import eventually
from support.kubernetes import image_store
from support.kubernetes.control_plane import NODE, ControlPlane
from support.kubernetes.namespaces import Network
from support.kubernetes.processes import Processes
from support.kubernetes.programs import program

FILES: Final = Path(__file__).with_name("node_files")
NETWORK_PLUGINS: Final = "/usr/lib/cni"
PAUSE_IMAGE: Final = "tidegate-test/pause:latest"
IMPORT_SECONDS: Final = 300.0


@dataclass
class Node:
    """The programs of a node, in the namespaces of its cluster."""

    folder: Path
    network: Network
    processes: Processes
    control_plane: ControlPlane

    def start_containerd(self, images: list[str]) -> None:
        """Start the container runtime with images of the Docker engine; returns when it answers."""
        self._configure("10-pods.conflist", "networks/10-pods.conflist")
        root = self.folder / "containerd"
        image_store.provide(root, images, lambda target: self._import(images, target))
        self._run_containerd(root)

    def _run_containerd(self, root: Path) -> None:
        configuration = self._configure("containerd.toml")
        self.processes.start(
            "containerd", ["containerd", "--config", configuration, "--root", str(root)]
        )
        eventually(self._containerd_answers, "containerd", seconds=60)

    def start_kubelet(self) -> None:
        """Start the kubelet and kube-proxy; returns when the node is ready."""
        kubectl = self.control_plane.kubectl()
        self.processes.start(
            "kubelet",
            [
                *(program("kubelet"), f"--config={self._configure('kubelet.yaml')}"),
                f"--kubeconfig={self.control_plane.kubeconfig('kubelet')}",
                *(f"--hostname-override={NODE}", f"--node-ip={self.network.node}"),
                f"--root-dir={self.folder / 'kubelet'}",
            ],
        )
        self.processes.start(
            "kube-proxy", [program("kube-proxy"), f"--config={self._configure('kube-proxy.yaml')}"]
        )

        def ready() -> bool:
            self.processes.check("kubelet")
            return kubectl.succeeds("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=1s")

        eventually(ready, "the node", seconds=120)

    def _import(self, images: list[str], root: Path) -> None:
        """Import images of the Docker engine into a folder of containerd's."""
        self._run_containerd(root)
        # Layers that several images have are sent once.
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            done = subprocess.run(
                [*self.ctr(), "images", "import", "-"],
                stdin=saved.stdout,
                capture_output=True,
                text=True,
                timeout=IMPORT_SECONDS,
                check=False,
            )
        self.processes.stop("containerd")
        if saved.returncode or done.returncode:
            raise RuntimeError(f"the images could not be imported: {done.stderr}")

    def ctr(self) -> list[str]:
        """containerd's own command, for the images and containers of the kubelet."""
        # Inside, because it mounts what it unpacks.
        address = str(self.folder / "containerd.sock")
        return [*self.processes.entrance, "ctr", "--address", address, "--namespace", "k8s.io"]

    def _containerd_answers(self) -> bool:
        self.processes.check("containerd")
        return succeeds(*self.ctr(), "version")

    def _configure(self, name: str, target: str = "") -> str:
        """Write a configuration with the values of this cluster; returns its path."""
        path = self.folder / (target or name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = Template((FILES / name).read_text()).substitute(
            folder=self.folder,
            pki=self.control_plane.pki,
            name=NODE,
            node=self.network.node,
            pods=self.network.pods,
            dns=self.network.dns_service,
            cgroup=self.network.cgroup,
            pause=PAUSE_IMAGE,
            plugins=NETWORK_PLUGINS,
        )
        path.write_text(text)
        return str(path)
