"""The times of requests of a program without metrics, by the gateway's access log."""

from __future__ import annotations

import threading
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, MetricsHandler

DURATION: Final = "http_server_request_duration_seconds"
FIRST_BYTE: Final = "tidegate_first_byte_seconds"


class _Handler(MetricsHandler):
    timeout = 5.0  # of one that sends no request


class RequestTimes:
    """The histograms of requests that a replica has answered and not recorded, as its own metrics would be.

    Args:
        edges: the upper bounds of the buckets, in seconds.
        first_byte: whether the objective is about the first byte.
    """

    def __init__(self, edges: tuple[float, ...], *, first_byte: bool) -> None:
        self._registry = CollectorRegistry()
        self._histograms = [
            Histogram(
                name,
                "Seconds of the requests that the program of the replicas has not recorded.",
                ("job", "http_response_status_code"),
                buckets=edges,
                registry=self._registry,
            )
            for name in (DURATION, FIRST_BYTE)[: 1 + first_byte]
        ]
        self._in_slot = Histogram(
            "tidegate_gateway_slot_seconds",
            "With replicas.command, job `model`: time that a request was with its program, which has not "
            "recorded it, until the byte of slo.until",
            ("job",),
            buckets=edges,
            registry=self._registry,
        ).labels("model")
        # Prometheus sees no increase in the first sample of a series.
        for histogram in self._histograms:
            histogram.labels("model", 200)

    def observe(
        self, status: int, seconds: float, data_seconds: float, with_program: float | None
    ) -> None:
        """Count a request.

        Args:
            status: of its response.
            seconds: its whole time.
            data_seconds: from the head of the response to its last byte.
            with_program: seconds at a replica until the head of the response; None if none answered.
        """
        for histogram, value in zip(
            self._histograms, (seconds, seconds - data_seconds), strict=False
        ):
            histogram.labels("model", status).observe(value)
        if with_program is not None:
            last = data_seconds if len(self._histograms) == 1 else 0.0
            self._in_slot.observe(with_program + last)

    def serve(self, path: Path) -> None:
        """Answer scrapes on a Unix socket, one after the other in a thread, until the process ends."""
        path.unlink(missing_ok=True)
        server = UnixStreamServer(str(path), _Handler.factory(self._registry))
        threading.Thread(target=server.serve_forever, daemon=True).start()
