"""The ways of scaling that are compared: the columns of the matrix."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.kubernetes.certificates import kubeconfig
from support.kubernetes.client import Kubectl
from support.kubernetes.control_plane import ControlPlane
from support.kubernetes.faults import objects, settings
from support.kubernetes.processes import Processes

TOKEN_HOURS: Final = 12


@dataclass(frozen=True)
class Column:
    """One way of scaling, in the namespace of its key.

    The mode is `scaling.mode` of the chart; without one it is made without the chart. The number is the last
    part of the address on which its processes listen.
    """

    key: str
    title: str
    mode: str
    number: int

    @property
    def ours(self) -> bool:
        """Whether the chart installs it."""
        return bool(self.mode)

    @property
    def decides(self) -> bool:
        """Whether Tidegate's autoscaler decides."""
        return self.mode in {"keda-external", "keda-metrics-api", "resizer"}

    @property
    def keda(self) -> bool:
        """Whether KEDA acts."""
        return self is not HPA and self.mode != "resizer"

    @property
    def address(self) -> str:
        return f"127.0.7.{self.number}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The DNS names that the chart gives to its Services."""
        ends = ("autoscaler", "resizer") if self.decides else ()
        return tuple(f"tidegate-{end}.{self.key}.svc.cluster.local" for end in ends)

    @property
    def autoscaler(self) -> str:
        """The name of the autoscaler's process."""
        return f"autoscaler-{self.key}"

    @property
    def resizer(self) -> str:
        """The name of the resizer's process."""
        return f"resizer-{self.key}"

    def documents(self, kubectl: Kubectl, prometheus: str) -> list[dict[str, Any]]:
        """The objects of the way of scaling."""
        if self.ours:
            return objects.of_chart(kubectl, self.key, self.mode, prometheus)
        return objects.plain_hpa() if self is HPA else objects.keda_defaults(prometheus)


EXTERNAL: Final = Column("external", "a: external scaler", "keda-external", 1)
METRICS_API: Final = Column("metrics-api", "a: metrics-api", "keda-metrics-api", 2)
RECORDED: Final = Column("recorded", "b: recorded series", "hpa", 3)
RESIZER: Final = Column("resizer", "c: resizer", "resizer", 4)
HPA: Final = Column("plain-hpa", "plain HPA", "", 5)
KEDA: Final = Column("keda-defaults", "KEDA defaults", "", 6)
COLUMNS: Final = (EXTERNAL, METRICS_API, RECORDED, RESIZER, HPA, KEDA)


def start_daemons(
    column: Column,
    plane: ControlPlane,
    processes: Processes,
    folder: Path,
    *,
    prometheus: str,
    gateway_metrics: str,
) -> None:
    """Start the processes of Tidegate that a column has, with their files in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / "resizer_token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_urlsafe(32))

    def start(name: str, *arguments: str, account: str = "", **own: str) -> None:
        environment = {
            "TIDEGATE_STACK__DATA_DIR": str(folder / name),
            "TIDEGATE_STACK__METRICS_HOST": column.address,
            "TIDEGATE_RESIZER__DEPLOYMENT": objects.DEPLOYMENT,
            "TIDEGATE_RESIZER__KUBERNETES_NAMESPACE": column.key,
            "TIDEGATE_REPLICAS__MIN": str(settings.MIN_REPLICAS),
            "TIDEGATE_REPLICAS__MAX": str(settings.MAX_REPLICAS),
            "TIDEGATE_AUTOSCALER__POLICY": settings.POLICY,
            "TIDEGATE_AUTOSCALER__TICK_SECONDS": str(settings.TICK_SECONDS),
            "TIDEGATE_AUTOSCALER__IDLE_SECONDS": str(settings.IDLE_SECONDS),
            "TIDEGATE_AUTOSCALER__GATEWAY_METRICS_URL": gateway_metrics,
            **own,
        }
        if account:
            environment["KUBECONFIG"] = str(_kubeconfig(plane, column, account, folder))
        inherited = ("PATH", "PYTHONPATH", "LANG")
        kept = [f"{key}={os.environ[key]}" for key in inherited if key in os.environ]
        chosen = [f"{key}={value}" for key, value in environment.items()]
        processes.start(
            name, ["env", "-i", *kept, *chosen, sys.executable, "-m", "tidegate", *arguments]
        )

    arguments = ("autoscaler", "--prometheus", prometheus)
    if column.mode != "resizer":
        account, scaler = "tidegate-autoscaler", {"TIDEGATE_AUTOSCALER__SCALER": "keda"}
        start(column.autoscaler, *arguments, account=account, **scaler)
        return
    start(
        column.resizer,
        "resizer",
        account="tidegate-resizer",
        TIDEGATE_RESIZER__BACKEND="kubernetes",
        TIDEGATE_RESIZER__TOKEN_FILE=str(token),
    )
    start(
        column.autoscaler,
        *(*arguments, "--resizer", f"http://{column.address}:9103"),
        TIDEGATE_AUTOSCALER__RESIZER_TOKEN_FILE=str(token),
    )


def _kubeconfig(plane: ControlPlane, column: Column, account: str, folder: Path) -> Path:
    """A kubeconfig with the rights that the chart grants to a service account."""
    token = plane.kubectl().run(
        *("create", "token", account, "--namespace", column.key), f"--duration={TOKEN_HOURS}h"
    )
    path = folder / f"{account}.kubeconfig"
    kubeconfig(path, server=plane.url, authority=f"{plane.pki}/ca.crt", token=token.strip())
    return path
