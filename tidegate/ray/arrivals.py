"""The arrival of requests where Ray Serve receives them: their time, their number, and how many are present.

Ray calls the function that `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names in each process that receives
requests over HTTP: in its proxy or, behind its HAProxy, in each replica. Ray itself sends no time of arrival,
so the latency would not include the wait for a slot. Behind HAProxy requests wait inside the replicas, where
only this middleware knows of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import time_ns
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from tidegate.telemetry.asgi import ASGIApp, Receive, Scope, Send

HEADER: Final = b"x-request-start"
OWN_PATHS: Final = "/-/"
"""Ray's own paths, such as the health checks of its HAProxy."""


class Arrivals:
    """The requests of this process.

    `present` are those without a complete response yet.
    """

    def __init__(self) -> None:
        self.total = 0
        self.present = 0


ARRIVALS: Final = Arrivals()
"""Of this process, in which Ray makes the middleware."""


class ArrivalMiddleware:
    """Counts a request, and sets `X-Request-Start` to the microseconds since 1970; a client's is replaced."""

    def __init__(
        self,
        app: ASGIApp,
        arrivals: Arrivals = ARRIVALS,
        clock_ns: Callable[[], int] = time_ns,
    ) -> None:
        self.app = app
        self._arrivals = arrivals
        self._clock_ns = clock_ns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["path"].startswith(OWN_PATHS):
            await self.app(scope, receive, send)
            return
        others = [pair for pair in scope["headers"] if pair[0] != HEADER]
        stamp = (HEADER, b"t=%d" % (self._clock_ns() // 1000))
        self._arrivals.total += 1
        self._arrivals.present += 1
        try:
            await self.app({**scope, "headers": [*others, stamp]}, receive, send)
        finally:
            self._arrivals.present -= 1


class ArrivalMetrics(Collector):
    """The arrivals in a replica behind Ray's HAProxy, as metrics."""

    def __init__(self, busy: Callable[[], int], arrivals: Arrivals = ARRIVALS) -> None:
        self._busy = busy
        self._arrivals = arrivals

    def collect(self) -> Iterator[Metric]:
        """The values now."""
        total, waiting = self._arrivals.total, max(0, self._arrivals.present - self._busy())
        yield CounterMetricFamily(
            "tidegate_ray_arrivals", "Requests that Ray's HAProxy sent to this replica.", total
        )
        yield GaugeMetricFamily(
            "tidegate_ray_waiting",
            "Requests that wait in this replica, behind Ray's HAProxy, for a slot.",
            waiting,
        )

    # The registry asks for the names, by which a scrape may select metrics.
    describe = collect


def middlewares() -> list[Any]:
    """What Ray's callback has to return: a list of Starlette's `Middleware`."""
    from starlette.middleware import Middleware  # noqa: PLC0415  Ray has it; the command line need not

    return [Middleware(ArrivalMiddleware)]
