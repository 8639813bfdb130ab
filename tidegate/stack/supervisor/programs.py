"""The programs of the embedded size: how each is started, asked and stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tidegate.settings import Settings
from tidegate.stack import prometheus
from tidegate.stack.data_folder import Layout
from tidegate.stack.gateway import configuration, haproxy
from tidegate.stack.processes.process import Command, OnLine
from tidegate.stack.processes.process_supervisor import Program
from tidegate.stack.replicas.release import Release
from tidegate.stack.supervisor.recent_output import recent_output

# A Python program on a busy machine imports for some seconds; Prometheus replays its log.
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
# The collector's last pass: every event is delivered, or the store is away and they stay in their files.
DELIVERY_SECONDS: Final = 30.0


def stop_seconds(settings: Settings) -> float:
    """The longest that a stop may take: autoscaler and watch, the gateway, the replicas, the collector."""
    return STOP_SECONDS + 2 * settings.replicas.drain_seconds + DELIVERY_SECONDS


def url(host: str, port: int) -> str:
    """Where to reach, from this machine, what binds to the host."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  not to bind to
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def replica_name(settings: Settings, index: int) -> str:
    """The name of replica `index`, which is its `service.node.name`."""
    return f"{settings.service.name}-{index}"


def replica_port(settings: Settings, index: int) -> int:
    """The port of replica `index`, counted from 1."""
    return settings.replicas.first_port + index - 1


def replica_address(settings: Settings, index: int) -> str:
    """Where replica `index` is reached from this machine, counted from 1."""
    return f"http://127.0.0.1:{replica_port(settings, index)}"


@dataclass(frozen=True, slots=True)
class Programs:
    """Makes the programs of one stack."""

    settings: Settings
    layout: Layout
    env: Mapping[str, str]
    cwd: Path

    def replica(self, index: int, release: Release | None = None) -> Program:
        """Replica `index`, counted from 1, that serves this release (default: the settings' model)."""
        path = self.settings.model.path if release is None else release.path
        name, port = replica_name(self.settings, index), replica_port(self.settings, index)
        address = replica_address(self.settings, index)
        own = {"TIDEGATE_SERVICE__NODE_NAME": name, "TIDEGATE_MODEL__PATH": str(path)}
        if self.settings.slots.max is not None:
            own["TIDEGATE_SLOTS__FILE"] = str(self.layout.slots)
        return Program(
            name=name,
            command=Command(
                (sys.executable, "-P", "-m", "tidegate.service", "--port", str(port)),
                {**self.env, **own},
                self.cwd,
            ),
            output=self.layout.output(name),
            ready_url=f"{address}/ready",
            address=address,
            start_seconds=self.settings.replicas.start_seconds,
            stop_seconds=self.settings.replicas.drain_seconds,
            recent_output=self._last_words(name),
        )

    def prometheus(self) -> Program:
        """Prometheus, its configuration written."""
        config = prometheus.write_config(self.settings, self.layout.prometheus)
        data = self.layout.prometheus / "data"
        address = url(self.settings.stack.host, self.settings.prometheus.port)
        argv = prometheus.argv(self.settings, config, data)
        return self._program("prometheus", argv, f"{address}/-/ready", address)

    async def gateway(self, on_line: OnLine) -> Program:
        """The gateway, its configuration written and checked.

        It gets the addresses of all replicas that there may ever be (one more than `replicas.max`, for
        the one that takes another's place), and follows their `/ready`: so it need not be told when one
        comes or goes.
        """
        config = self.gateway_config()
        await haproxy.check(config)
        return Program(
            name="gateway",
            command=self._command(haproxy.argv(config)),
            output=self.layout.output("gateway"),
            ready_url=f"http://127.0.0.1:{self.settings.gateway.metrics_port}/metrics?scope=global",
            address=url(self.settings.stack.host, self.settings.gateway.port),
            start_seconds=START_SECONDS,
            # It stops taking connections, and ends when the last request is answered.
            stop_signal=signal.SIGUSR1,
            stop_seconds=self.settings.replicas.drain_seconds,
            on_line=on_line,
            recent_output=self._last_words("gateway"),
        )

    def gateway_config(self, slots: int | None = None) -> Path:
        """Write the gateway's configuration, with so many slots in each replica (default: its own)."""
        addresses = [
            f"127.0.0.1:{replica_port(self.settings, index)}"
            for index in range(1, self.settings.replicas.max + 2)
        ]
        return configuration.write_config(self.settings, self.layout.gateway, addresses, slots)

    def collector(self) -> Program:
        """The collector. Told to stop, it delivers what there is."""
        return self._python(
            "collector",
            ["collector"],
            self.settings.collector.metrics_port,
            stop_seconds=DELIVERY_SECONDS,
        )

    def autoscaler(self) -> Program:
        """The autoscaler."""
        return self._python(
            "autoscaler",
            [
                *("autoscaler", "--resizer", f"unix:{self.layout.socket}"),
                *("--prometheus", url(self.settings.stack.host, self.settings.prometheus.port)),
            ],
            self.settings.autoscaler.metrics_port,
            stop_seconds=STOP_SECONDS,
        )

    def watch(self) -> Program:
        """The watcher of labels."""
        port = self.settings.drift.watch_port
        return self._python("watch", ["monitor", "watch"], port, stop_seconds=STOP_SECONDS)

    def _python(
        self, name: str, arguments: list[str], port: int, *, stop_seconds: float
    ) -> Program:
        address = f"http://127.0.0.1:{port}"
        argv = [sys.executable, "-P", "-m", "tidegate", *arguments]
        return self._program(
            name, argv, f"{address}/metrics", f"{address}/metrics", stop_seconds=stop_seconds
        )

    def _program(
        self,
        name: str,
        argv: list[str],
        ready_url: str,
        address: str,
        *,
        stop_seconds: float = STOP_SECONDS,
    ) -> Program:
        return Program(
            name=name,
            command=self._command(argv),
            output=self.layout.output(name),
            ready_url=ready_url,
            address=address,
            start_seconds=START_SECONDS,
            stop_seconds=stop_seconds,
            recent_output=self._last_words(name),
        )

    def _last_words(self, name: str) -> Callable[[], str]:
        return partial(recent_output, self.layout.output(name), self.layout.logs, name)

    def _command(self, argv: list[str]) -> Command:
        return Command(tuple(argv), self.env, self.cwd)
