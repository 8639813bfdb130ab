"""Network, mount and process namespaces of one cluster: what runs in them ends with them, and leaves nothing.

Several clusters may run on one machine: each has a number, from which its addresses and its cgroup follow.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from support.commands import output, succeeds
from support.eventually import eventually
from support.kubernetes.programs import program

NUMBERS: Final = range(10)
CGROUPS: Final = Path("/sys/fs/cgroup")
# By default a group has the share of one process, and this one has all pods.
CPU_SHARES: Final = 8
# What containerd, the kubelet and the network plugins write at fixed places is the cluster's own.
PRIVATE: Final = ("/run", "/var/lib", "/var/log")


@dataclass(frozen=True)
class Network:
    """The addresses of a cluster with a number. They are routed on this machine alone, and nothing is
    forwarded from them: the cluster has no default route.
    """

    number: int

    @property
    def host(self) -> str:
        """This machine, as pods may reach it."""
        return f"10.203.{self.number}.1"

    @property
    def node(self) -> str:
        return f"10.203.{self.number}.2"

    @property
    def pods(self) -> str:
        return f"10.246.{self.number}.0/24"

    @property
    def services(self) -> str:
        return f"10.97.{self.number}.0/24"

    @property
    def api_service(self) -> str:
        return f"10.97.{self.number}.1"

    @property
    def dns_service(self) -> str:
        return f"10.97.{self.number}.10"

    @property
    def device(self) -> str:
        """This machine's end of the link."""
        return f"tidegate-k8s-{self.number}"

    @property
    def cgroup(self) -> str:
        return f"tidegate-k8s-{self.number}"


@dataclass
class Namespaces:
    """The namespaces, held by a process that reaps what it inherits (the pause program)."""

    network: Network
    holder: subprocess.Popen[bytes]  # `unshare`, whose end ends every process in the namespaces
    init: int  # process 1 of the namespaces, as this machine counts

    @classmethod
    def create(cls, folder: Path, *, outlive: bool) -> Namespaces:
        """Make namespaces with a link to this machine; with `outlive` they stay when this process ends."""
        if any(folder.is_relative_to(place) for place in PRIVATE):
            raise ValueError(f"{folder}: a cluster cannot be in any of {', '.join(PRIVATE)}")
        network = _claim()
        # A kill of pytest must not leave a cluster.
        guard = () if outlive else ("setpriv", "--pdeathsig", "KILL")
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        with (folder / "logs" / "namespaces.log").open("ab") as log:
            holder = subprocess.Popen(
                [
                    *guard,
                    *("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"),
                    *("--mount-proc", program("pause")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (folder / "namespaces").write_text(f"{holder.pid} {network.number}\n")
        made = cls(network, holder, _only_child(holder))
        try:
            made._connect()
            make_cgroups(network.cgroup)
        except BaseException:
            made.end()
            raise
        return made

    @property
    def entrance(self) -> tuple[str, ...]:
        """The command that runs another one inside."""
        return ("nsenter", "--target", str(self.init), "--net", "--mount", "--pid", "--")

    def end(self) -> None:
        """End everything in the namespaces, and remove what the kernel keeps of them."""
        self.holder.kill()
        self.holder.wait()
        remove(self.network)

    def _connect(self) -> None:
        net = self.network
        output("ip", "link", "set", f"tidegate-node-{net.number}", "netns", str(self.init))
        output("ip", "address", "add", f"{net.host}/30", "dev", net.device)
        output("ip", "link", "set", net.device, "up")
        inside = f"""
            mount --make-rshared /
            for place in {" ".join(PRIVATE)}; do mount -t tmpfs tmpfs $place; done
            ip link set lo up
            ip link set tidegate-node-{net.number} name node0
            ip address add {net.node}/30 dev node0
            ip link set node0 up
            # Packets to a Service need a route before they get the address of a pod.
            ip route add {net.services} dev node0
            echo 1 >/proc/sys/net/ipv4/ip_forward
        """
        output(*self.entrance, "sh", "-ec", inside)
        for destination in (net.pods, net.services):
            output("ip", "route", "replace", destination, "via", net.node)


def _claim() -> Network:
    """The first number whose link does not exist yet; to make it is to own it."""
    for network in map(Network, NUMBERS):
        peer = f"tidegate-node-{network.number}"
        if succeeds("ip", "link", "add", network.device, "type", "veth", "peer", "name", peer):
            return network
    raise RuntimeError(f"{len(NUMBERS)} clusters run already, or this is not root")


def _only_child(holder: subprocess.Popen[bytes]) -> int:
    def child() -> int:
        if holder.poll() is not None:
            raise RuntimeError(f"unshare ended with {holder.returncode}: this takes root")
        # setpriv becomes unshare, and unshare's child becomes the pause program.
        found = psutil.Process(holder.pid).children()
        return found[0].pid if found and found[0].name() == "pause" else 0

    return eventually(child, "the namespaces", seconds=10, every=0.02)


def make_cgroups(name: str) -> None:
    """A group of this name under each controller. (In version 2 all controllers have one tree.)"""
    if (CGROUPS / "cgroup.controllers").exists():
        (CGROUPS / name).mkdir(exist_ok=True)
        _write_if_present(CGROUPS / name / "cpu.weight", 100 * CPU_SHARES)
        return
    for controller in CGROUPS.iterdir():
        if controller.name == "unified" or not (controller / "cgroup.procs").exists():
            continue
        group = controller / name
        group.mkdir(exist_ok=True)
        for setting in ("cpuset.cpus", "cpuset.mems"):  # a new group of this controller has none
            if (group / setting).exists():
                (group / setting).write_text((controller / setting).read_text())
        _write_if_present(group / "cpu.shares", 1024 * CPU_SHARES)


def _write_if_present(path: Path, number: int) -> None:
    if path.exists():
        path.write_text(f"{number}\n")


def remove(network: Network) -> None:
    """Remove the link and the cgroups of a cluster whose processes have been killed."""
    succeeds("ip", "link", "delete", network.device)
    roots = [CGROUPS / network.cgroup, *CGROUPS.glob(f"*/{network.cgroup}")]

    def gone() -> bool:
        for root in roots:
            # The deepest first.
            for group in sorted((p for p in root.rglob("*") if p.is_dir()), reverse=True):
                with contextlib.suppress(OSError):  # a process in it has not ended yet
                    group.rmdir()
            with contextlib.suppress(OSError):
                root.rmdir()
        return not any(root.exists() for root in roots)

    eventually(gone, f"the end of the processes in {network.cgroup}", seconds=30)


def end_recorded(folder: Path) -> None:
    """End the cluster of a folder that another process started."""
    pid, number = map(int, (folder / "namespaces").read_text().split())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    remove(Network(number))
