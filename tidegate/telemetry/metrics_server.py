"""The metrics of an application on a port of their own."""

from __future__ import annotations

import os
import weakref

from prometheus_client import CollectorRegistry

from tidegate.os_errors import os_error_message
from tidegate.runtime.metrics_server import MetricsHttpServer
from tidegate.settings import SettingsError
from tidegate.telemetry.metrics import ExposedRegistry


class MetricsServer:
    """Serves metrics, in threads of its own, between `open` and `close`.

    Args:
        registry: the metrics; those of prometheus_client's default registry come after them.
        host: the address to listen on.
        port: the TCP port; 0 for any free one.
    """

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        self._registry = ExposedRegistry(registry)
        self._host, self._port = host, port
        self._running: MetricsHttpServer | None = None
        reference = weakref.WeakMethod(self._after_fork)

        def in_child() -> None:
            if method := reference():
                method()

        os.register_at_fork(after_in_child=in_child)

    def open(self) -> None:
        """Start to serve; without effect while it serves.

        Raises:
            SettingsError: the port is taken, or the address cannot be used.
        """
        if self._running is not None:
            return
        try:
            self._running = MetricsHttpServer(self._registry, self._host, self._port)
        except OSError as error:
            raise SettingsError(
                f"telemetry.metrics_port: cannot listen on {self._host}:{self._port} "
                f"({os_error_message(error)}); choose a free port, one of its own for each process "
                "(TIDEGATE_TELEMETRY__METRICS_PORT), or unset it; the address is stack.metrics_host"
            ) from error

    @property
    def port(self) -> int:
        """The TCP port, while it serves; else the one that was asked for."""
        return self._running.server_port if self._running else self._port

    def close(self) -> None:
        """Stop, and free the port; without effect while it does not serve."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def _after_fork(self) -> None:
        # The thread that serves exists in the parent only; its socket would keep the port taken.
        running, self._running = self._running, None
        if running is not None:
            running.socket.close()
