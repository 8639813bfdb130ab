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
    """One way of scaling, in a namespace of its own.

    Attributes:
        key: its namespace.
        title: for people.
        mode: `scaling.mode` of the chart; empty: it is made without the chart.
        number: the last part of the address on which its processes listen.
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


@dataclass(frozen=True)
class Daemons:
    """The processes of Tidegate in one column.

    Attributes:
        column: the column.
        plane: the control plane.
        processes: where they run.
        folder: for their files.
        prometheus: its URL.
        gateway_metrics: the URL of the gateway's metrics.
    """

    column: Column
    plane: ControlPlane
    processes: Processes
    folder: Path
    prometheus: str
    gateway_metrics: str

    def start(self) -> None:
        """Start those that the column has."""
        self.folder.mkdir(parents=True, exist_ok=True)
        token = self.folder / "resizer_token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_urlsafe(32))
        resizes = self.column.mode == "resizer"
        if resizes:
            self._start(
                self.column.resizer,
                ("resizer",),
                account="tidegate-resizer",
                TIDEGATE_RESIZER__BACKEND="kubernetes",
                TIDEGATE_RESIZER__TOKEN_FILE=str(token),
            )
        arguments = ("autoscaler", "--prometheus", self.prometheus)
        if resizes:
            resizer = f"http://{self.column.address}:9103"
            self._start(
                self.column.autoscaler,
                (*arguments, "--resizer", resizer),
                TIDEGATE_AUTOSCALER__RESIZER_TOKEN_FILE=str(token),
            )
        else:
            self._start(
                self.column.autoscaler,
                arguments,
                account="tidegate-autoscaler",
                TIDEGATE_AUTOSCALER__SCALER="keda",
            )

    def _start(
        self, name: str, arguments: tuple[str, ...], *, account: str = "", **own: str
    ) -> None:
        environment = {
            "TIDEGATE_STACK__DATA_DIR": str(self.folder / name),
            "TIDEGATE_STACK__METRICS_HOST": self.column.address,
            "TIDEGATE_RESIZER__DEPLOYMENT": objects.DEPLOYMENT,
            "TIDEGATE_RESIZER__KUBERNETES_NAMESPACE": self.column.key,
            "TIDEGATE_REPLICAS__MIN": str(settings.MIN_REPLICAS),
            "TIDEGATE_REPLICAS__MAX": str(settings.MAX_REPLICAS),
            "TIDEGATE_AUTOSCALER__POLICY": settings.POLICY,
            "TIDEGATE_AUTOSCALER__TICK_SECONDS": str(settings.TICK_SECONDS),
            "TIDEGATE_AUTOSCALER__IDLE_SECONDS": str(settings.IDLE_SECONDS),
            "TIDEGATE_AUTOSCALER__GATEWAY_METRICS_URL": self.gateway_metrics,
            **own,
        }
        if account:
            environment["KUBECONFIG"] = str(self._kubeconfig(account))
        inherited = ("PATH", "PYTHONPATH", "LANG")
        kept = [f"{key}={os.environ[key]}" for key in inherited if key in os.environ]
        chosen = [f"{key}={value}" for key, value in environment.items()]
        self.processes.start(
            name, ["env", "-i", *kept, *chosen, sys.executable, "-m", "tidegate", *arguments]
        )

    def _kubeconfig(self, account: str) -> Path:
        """A kubeconfig with the rights that the chart grants to a service account."""
        token = self.plane.kubectl().run(
            *("create", "token", account, "--namespace", self.column.key),
            f"--duration={TOKEN_HOURS}h",
        )
        path = self.folder / f"{account}.kubeconfig"
        kubeconfig(
            path,
            server=self.plane.url,
            authority=f"{self.plane.pki}/ca.crt",
            token=token.strip(),
        )
        return path
