"""The programs of local mode: how each is started, probed and stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tidegate.runtime.loopback import is_loopback
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tidegate.stack.data_folder import Layout
from tidegate.stack.gateway import access_log, configuration, haproxy
from tidegate.stack.processes.process import Command
from tidegate.stack.processes.process_supervisor import Program
from tidegate.stack.replicas.addresses import replica_address, replica_name, replica_port
from tidegate.stack.replicas.release import Release, unread_release
from tidegate.stack.replicas.replica_command import replica_argv, replica_variables
from tidegate.stack.supervisor.recent_output import recent_output

# On a busy machine the imports of a Python program take seconds, and Prometheus replays its write-ahead log.
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
# The collector's last pass: it delivers every event; if the store is unavailable, they stay in their files.
DELIVERY_SECONDS: Final = 30.0


def stop_seconds(settings: Settings) -> float:
    """The maximum duration of a stop: autoscaler and watch, the gateway, the replicas, the collector."""
    return STOP_SECONDS + 2 * settings.replicas.drain_seconds + DELIVERY_SECONDS


def url(host: str, port: int) -> str:
    """The URL, on this machine, of a server that binds to the host."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  nothing binds to it here
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def console_url(settings: Settings) -> str:
    """The URL of the console, on this machine; empty if the stack runs none."""
    return "" if console_problem(settings) else url(settings.stack.host, settings.console.port)


def console_problem(settings: Settings) -> str:
    """Why the stack runs no console; empty if it runs one."""
    return token_problem(settings) if settings.console.enabled else "console.enabled is false"


def token_problem(settings: Settings) -> str:
    """Why the console needs a token that it has not; empty if it needs none or has one."""
    host = settings.stack.host
    if settings.console.token_file or is_loopback(host):
        return ""
    return f"stack.host is {host}, which other machines reach: set console.token_file to a file with a token"


@dataclass(frozen=True, slots=True)
class Programs:
    """Creates the programs of one stack."""

    settings: Settings
    layout: Layout
    env: Mapping[str, str]
    cwd: Path

    def replica(self, index: int, release: Release | None = None) -> Program:
        """The replica with an index from 1, which serves a release (default: that of the settings)."""
        settings, layout = self.settings, self.layout
        release = release or unread_release(settings)
        name = replica_name(settings, index)
        address = replica_address(settings, index)
        variables = replica_variables(settings, index, release, layout.slots)
        return Program(
            name=name,
            command=Command(replica_argv(settings, index), {**self.env, **variables}, self.cwd),
            output=self.layout.output(name),
            ready_url=f"{address}{settings.replicas.ready_path}",
            address=address,
            start_seconds=settings.replicas.start_seconds,
            start_setting="replicas.start_seconds",
            stop_seconds=settings.replicas.drain_seconds,
            answers_first=not settings.replicas.command,
            recent_output=self._last_words(name),
        )

    def prometheus(self) -> Program:
        """Prometheus; writes its configuration."""
        config = prometheus.write_config(self.settings, self.layout.prometheus)
        data = self.layout.prometheus / "data"
        address = url(self.settings.stack.host, self.settings.prometheus.port)
        argv = prometheus.argv(self.settings, Path(config.name), data)
        return self._program("prometheus", argv, f"{address}/-/ready", address, cwd=config.parent)

    async def gateway(self) -> Program:
        """The gateway; writes and checks its configuration.

        The configuration lists the addresses of all possible replicas (one more than `replicas.max`, for a
        rollout), so starts and stops of replicas need no reload; the pool enables those that are ready.
        """
        config = self.gateway_config()
        await haproxy.check(config)
        return Program(
            name="gateway",
            command=Command(tuple(haproxy.argv(config)), self.env, config.parent),
            output=self.layout.output("gateway"),
            ready_url=f"http://127.0.0.1:{self.settings.gateway.metrics_port}/metrics?scope=global",
            address=url(self.settings.stack.host, self.settings.gateway.port),
            start_seconds=START_SECONDS,
            # It accepts no more connections, and exits after the last response.
            stop_signal=signal.SIGUSR1,
            stop_seconds=self.settings.replicas.drain_seconds,
            reader=Command(access_log.argv(self.settings), self.env, config.parent),
            recent_output=self._last_words("gateway"),
        )

    def gateway_config(self, slots: int | None = None) -> Path:
        """Write the gateway's configuration for a number of slots (default: `slots.per_replica`)."""
        addresses = [
            f"127.0.0.1:{replica_port(self.settings, index)}"
            for index in range(1, self.settings.replicas.max + 2)
        ]
        return configuration.write_config(
            self.settings, self.layout.gateway, addresses, slots, self._links()
        )

    def _links(self) -> Mapping[str, str] | None:
        """What the gateway lists at `/`, which an application of a person's own answers itself."""
        if self.settings.replica_program:
            return None
        return {
            **({configuration.CONSOLE: address} if (address := console_url(self.settings)) else {}),
            "docs": "/docs",
            "openapi": "/openapi.json",
            "ready": self.settings.replicas.ready_path,
            "prometheus": url(self.settings.stack.host, self.settings.prometheus.port),
        }

    def collector(self) -> Program:
        """The collector. When stopped, it delivers the remaining events."""
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
                *("autoscaler", "--resizer", f"unix:{self.layout.own_socket}"),
                *("--prometheus", url(self.settings.stack.host, self.settings.prometheus.port)),
            ],
            self.settings.autoscaler.metrics_port,
            stop_seconds=STOP_SECONDS,
        )

    def watch(self) -> Program:
        """The monitor of drift."""
        port = self.settings.drift.watch_port
        return self._python("watch", ["monitor", "watch"], port, stop_seconds=STOP_SECONDS)

    def console(self) -> Program:
        """The web console."""
        address = console_url(self.settings)
        argv = [sys.executable, "-P", "-m", "tidegate", "console"]
        return self._program("console", argv, f"{address}/live", address)

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
        cwd: Path | None = None,
    ) -> Program:
        return Program(
            name=name,
            command=Command(tuple(argv), self.env, cwd or self.cwd),
            output=self.layout.output(name),
            ready_url=ready_url,
            address=address,
            start_seconds=START_SECONDS,
            stop_seconds=stop_seconds,
            recent_output=self._last_words(name),
        )

    def _last_words(self, name: str) -> Callable[[int, float], str]:
        return partial(recent_output, self.layout.output(name), self.layout.logs, name)
