"""The metrics of an application and of its gateway under load, as a process of its own.

It stands in for replicas and HAProxy: only their metrics decide on the number of replicas, and here they can
have each fault. What they show is read from a file at each scrape:

    load    17.5 requests/s of 0.2 s
    low     a twentieth of it
    nan     every value is NaN
    empty   no series
    frozen  the same values as at the last scrape

    python application.py ADDRESS PORT FILE
"""

from __future__ import annotations

import math
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Final

RATE: Final = 17.5
SERVICE_SECONDS: Final = 0.2
LOW: Final = 0.05
REPLICAS: Final = 4
SLOTS: Final = 2
GOLDEN: Final = 0.618034
BOUNDS: Final = (0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1.0, math.inf)


class Application:
    """Counters that grow with the load."""

    def __init__(self, shows: Path) -> None:
        self._shows = shows
        self._at = time.monotonic()
        self._requests = 0.0
        self._seconds = 0.0
        self._counts = [0.0] * len(BOUNDS)
        self._load = 1.0
        self._lock = Lock()

    def page(self, part: str) -> str:
        """The metrics of `gateway` or of `model`."""
        with self._lock:
            shows = self._shows.read_text().strip()
            self._advance(shows)
            lines = self._gateway() if part == "gateway" else self._model()
        if shows == "empty":
            return "# HELP up nothing\n"
        if shows == "nan":
            lines = [f"{line.rpartition(' ')[0]} NaN" for line in lines]
        return "\n".join(lines) + "\n"

    def _advance(self, shows: str) -> None:
        now = time.monotonic()
        elapsed, self._at = now - self._at, now
        if shows == "frozen":
            return  # the counters stay, and continue from there
        self._load = LOW if shows == "low" else 1.0
        requests = RATE * self._load * elapsed
        # A few percent of variation, as in any real traffic: values that never change count as frozen.
        mean = SERVICE_SECONDS * (1 + 0.04 * math.sin(now * 1.7))
        self._requests += requests
        self._seconds += requests * mean
        for index, bound in enumerate(BOUNDS):
            # A normal distribution with a deviation of a quarter of the mean.
            share = 0.5 * (1 + math.erf((bound - mean) / (0.25 * mean * math.sqrt(2))))
            self._counts[index] += requests * share

    def _gateway(self) -> list[str]:
        return [
            f'haproxy_backend_sessions_total{{proxy="model"}} {self._requests}',
            'haproxy_backend_current_queue{proxy="model"} 0',
            f'haproxy_backend_active_servers{{proxy="model"}} {REPLICAS}',
        ]

    def _model(self) -> list[str]:
        lines = []
        mean = RATE * self._load * SERVICE_SECONDS
        # A whole number, in the mean that of Little's law: one of two, which change as if by chance.
        busy = math.floor(mean + self._requests * GOLDEN % 1)
        for replica in range(REPLICAS):
            lines += [
                f'tidegate_slots{{replica="{replica}"}} {SLOTS}',
                f'tidegate_slots_busy{{replica="{replica}"}} {(busy + replica) // REPLICAS}',
            ]
        for name, labels in (
            ("tidegate_slot_seconds", ""),
            ("http_server_request_duration_seconds", 'http_response_status_code="200"'),
        ):
            for bound, count in zip(BOUNDS, self._counts, strict=True):
                edge = "+Inf" if bound == math.inf else f"{bound}"
                lines.append(f'{name}_bucket{{{labels}{"," if labels else ""}le="{edge}"}} {count}')
            lines += [
                f"{name}_sum{{{labels}}} {self._seconds}",
                f"{name}_count{{{labels}}} {self._requests}",
            ]
        return lines


def serve(address: str, port: int, shows: Path) -> None:
    """Answer scrapes until the process ends."""
    application = Application(shows)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = application.page(self.path.partition("?")[0].strip("/")).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer((address, port), Handler).serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
