"""All ways of scaling in one cluster, each with a Deployment of its own, on the same metrics.

Real are etcd, the API server, the controllers with the HPA, KEDA's operator and adapter, Prometheus,
prometheus-adapter, Tidegate's autoscaler and resizer, and the objects and rights that the chart installs. No
pod runs: the application and its gateway are one process that offers their metrics, and pods are reported as
ready as soon as they exist. All processes run beside the control plane instead of in pods.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from support.eventually import eventually
from support.kubernetes.control_plane import PROGRAMS as CONTROL_PLANE
from support.kubernetes.control_plane import ControlPlane
from support.kubernetes.faults import application, keda, prometheus
from support.kubernetes.faults.columns import COLUMNS, HPA, Column, start_daemons
from support.kubernetes.faults.objects import DEPLOYMENT
from support.kubernetes.faults.prometheus import Prometheus
from support.kubernetes.faults.settings import SYNC_SECONDS
from support.kubernetes.faults.trace import (
    Api,
    Repeated,
    Trace,
    make_pods_ready,
    unusual_conditions,
)
from support.kubernetes.namespaces import Namespaces
from support.kubernetes.processes import Processes
from support.kubernetes.programs import missing

PROGRAMS: Final = (*CONTROL_PLANE, "helm")
APPLICATION_PORT: Final = 8405
HERE: Final = "127.0.0.1"
# Longer than any way of scaling here takes for its next step: SLOQ removes a quarter each 30 s.
STEADY_SECONDS: Final = 40.0
RETURNED_SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 240.0


@dataclass
class Arrangement:
    """The running cluster."""

    folder: Path
    columns: tuple[Column, ...]
    plane: ControlPlane
    processes: Processes
    prometheus: Prometheus
    api: Api
    trace: Trace
    _away: set[str] = field(default_factory=set)
    _usual: dict[str, int] = field(default_factory=dict)

    def show(self, what: str) -> None:
        """Set what the application's metrics show (see `application`)."""
        # In one step: a scrape must not find an empty file.
        new = self._shows.with_suffix(".new")
        new.write_text(what)
        new.rename(self._shows)

    def kill(self, *names: str) -> None:
        """End programs without a chance to finish; they stay away."""
        for name in names:
            self._away.add(name)
            with contextlib.suppress(KeyError):
                self.processes.stop(name, signal.SIGKILL)

    def restart(self, *names: str) -> None:
        """Start programs again that were killed."""
        for name in names:
            self.processes.start(name)
            self._away.discard(name)

    def freeze(self, *names: str) -> None:
        """Stop programs where they are: they accept connections and answer nothing."""
        for name in names:
            self.processes.send(name, signal.SIGSTOP)

    def thaw(self, *names: str) -> None:
        """Continue frozen programs."""
        for name in names:
            self.processes.send(name, signal.SIGCONT)

    def keep_running(self) -> None:
        """Start what has ended by itself, as a kubelet does: KEDA ends when it loses the API server."""
        for name in keda.PROGRAMS:
            if name in self._away or not any(one.keda for one in self.columns):
                continue
            try:
                self.processes.check(name)
            except (RuntimeError, KeyError):
                self.processes.start(name)

    def wait_until_steady(self) -> None:
        """Wait until each Deployment has the number for this load: as before or long unchanged.

        Each HPA must read its metric, too: after an outage KEDA falls back to the present number for a while.
        """

        def unsteady(key: str) -> bool:
            replicas = self.trace.now(key)
            usual = replicas == self._usual.get(key)
            steady = RETURNED_SECONDS if usual else STEADY_SECONDS
            return (
                replicas < 2
                or self.trace.steady_seconds(key) < steady
                or not self._is_as_usual(key)
            )

        eventually(
            lambda: not any(unsteady(one.key) for one in self.columns),
            "a steady number of replicas",
            seconds=SETTLE_SECONDS,
            every=0.5,
        )
        self._usual = {one.key: self.trace.now(one.key) for one in self.columns}

    def _is_as_usual(self, key: str) -> bool:
        try:
            return not unusual_conditions(self.api, key)
        except httpx.HTTPError:  # the API server has just started and refuses some requests
            return False

    @property
    def _shows(self) -> Path:
        return self.folder / "shows"

    def start(self) -> None:
        """Start what the control plane lacks."""
        self.show("load")
        metrics = f"{HERE}:{APPLICATION_PORT}"
        self.processes.start(
            "application",
            [
                *(sys.executable, str(Path(application.__file__)), HERE, str(APPLICATION_PORT)),
                str(self._shows),
            ],
        )
        self.prometheus.start()
        if any(one.keda for one in self.columns):
            keda.start(self.plane, self.processes, self.folder / "keda")
        if HPA in self.columns:
            self.prometheus.start_adapter(self.plane)
        kubectl = self.plane.kubectl()
        for column in self.columns:
            kubectl.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": column.key}}
            )
            self.plane.wait_for_namespace(column.key)
            documents = column.documents(kubectl, self.prometheus.url)
            kubectl.apply(*documents, namespace=column.key)
            if column.decides:
                start_daemons(
                    column,
                    self.plane,
                    self.processes,
                    self.folder / column.key,
                    prometheus=self.prometheus.url,
                    gateway_metrics=f"http://{metrics}/gateway",
                )


def programs(columns: tuple[Column, ...]) -> list[str]:
    """The built programs that these columns need."""
    found = [*PROGRAMS]
    if any(one.keda for one in columns):
        found += keda.PROGRAMS
    return [*found, prometheus.ADAPTER] if HPA in columns else found


def absent(columns: tuple[Column, ...] = COLUMNS) -> list[str]:
    """What has to be built or installed first."""
    return missing(*programs(columns)) + (
        [] if Path(prometheus.executable()).exists() else ["prometheus"]
    )


@contextmanager
def running(folder: Path, columns: tuple[Column, ...] = COLUMNS) -> Iterator[Arrangement]:
    """The arrangement, which ends with the block."""
    with contextlib.ExitStack() as ending:
        namespaces = Namespaces.create(folder, outlive=False)
        processes = Processes(folder / "logs", namespaces.entrance)
        ending.callback(processes.wait_for_all)
        ending.callback(namespaces.end)
        _name_hosts(folder, namespaces, columns)
        plane = ControlPlane.inside(namespaces.network, folder, processes)
        plane.hpa_sync_seconds = SYNC_SECONDS
        plane.start()
        # Each thread has a client of its own.
        api, pods = (ending.enter_context(contextlib.closing(Api(plane))) for _ in range(2))
        arrangement = Arrangement(
            folder,
            columns,
            plane,
            processes,
            Prometheus(
                folder / "prometheus",
                processes,
                plane.address,
                f"{HERE}:{APPLICATION_PORT}",
                HPA.key,
            ),
            api,
            Trace(api, DEPLOYMENT),
        )
        arrangement.start()
        for thread in (
            Repeated("trace", arrangement.trace.read),
            Repeated("pods", lambda: make_pods_ready(pods)),
            Repeated("keep", arrangement.keep_running),
        ):
            thread.start()
            ending.callback(thread.stop)
        arrangement.wait_until_steady()
        yield arrangement


def _name_hosts(folder: Path, namespaces: Namespaces, columns: tuple[Column, ...]) -> None:
    """Let the names of the chart's Services mean the addresses of the processes, inside only."""
    hosts = folder / "hosts"
    lines = [f"{one.address} {name}" for one in columns for name in one.hosts]
    hosts.write_text("\n".join([f"{HERE} localhost", *lines]) + "\n")
    subprocess.run([*namespaces.entrance, "mount", "--bind", str(hosts), "/etc/hosts"], check=True)
