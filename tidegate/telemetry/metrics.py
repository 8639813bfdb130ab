"""The metrics of an application, in its own registry, and the endpoint that exposes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from tidegate.settings import Slo
from tidegate.telemetry.asgi import ASGIApp, Receive, Scope, Send
from tidegate.telemetry.request_event import error_text
from tidegate.telemetry.shared_metrics import SharedMetrics

_LOG: Final = logging.getLogger("tidegate.telemetry")
MAX_REASON: Final = 300
"""Characters of why the default registry is left out; prometheus_client may append a whole metric."""
# https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration
_CONVENTION_BUCKETS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
# The convention ends at 10 s, and is coarse above 1 s: a quantile of times that are all 3.0 s read 4.9 s.
SLOW_BUCKETS: Final = (1.5, 2.0, 3.0, 4.0, 15.0, 20.0, 30.0, 40.0, 60.0, 100.0)
"""Upper bounds in seconds of what is slow, for every histogram of times."""
# A quantile is interpolated within its bucket, so the buckets around the objective are narrow.
_OBJECTIVE_FACTORS: Final = (0.5, 0.75, 1.25, 1.5, 2.0)


def edges_with_objective(edges: Iterable[float], slo_latency_seconds: float) -> tuple[float, ...]:
    """The upper bounds of a histogram's buckets, in seconds: these, the objective, and some around it."""
    around_objective = {round(slo_latency_seconds * factor, 9) for factor in _OBJECTIVE_FACTORS}
    return tuple(sorted({*edges, slo_latency_seconds, *around_objective}))


def duration_edges(slo_latency_seconds: float) -> tuple[float, ...]:
    """Upper bounds of the histogram's buckets, in seconds: of the convention, and around the objective."""
    return edges_with_objective((*_CONVENTION_BUCKETS, *SLOW_BUCKETS), slo_latency_seconds)


class _AtScrape(Collector):
    """A metric that is read at each scrape."""

    def __init__(self, read: Callable[[], Metric]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        """The metric."""
        yield self._read()

    # The registry asks for the names: a scrape of the port of its own may select them by `?name[]=`.
    describe = collect


class _Collected(Collector):
    """Metrics as they were at one time."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        """The metrics."""
        return self._metrics


class ExposedRegistry(CollectorRegistry):
    """An application's registry, then the metrics of prometheus_client's default one whose names are new.

    There `Counter("orders_total", "…")` registers itself, as that library's documentation does.
    """

    def __init__(self, own: CollectorRegistry) -> None:
        super().__init__()
        self._own = own
        self._failed = False

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        names = set()
        for metric in self._own.collect():
            names.add(metric.name)
            yield metric
        try:
            default = [metric for metric in REGISTRY.collect() if metric.name not in names]
            # What cannot be written, such as a label that is a number, would cost the application's own. This
            # format, which Prometheus asks for, refuses more than the other.
            choose_encoder("application/openmetrics-text")[0](_Collected(default))
        except Exception as error:  # noqa: BLE001 - a collector of the application may raise anything
            if not self._failed:
                self._failed = True
                _LOG.warning(
                    "the metrics of prometheus_client's default registry are left out until all of its "
                    "collectors work: %s",
                    error_text(error)[:MAX_REASON],
                )
            return
        self._failed = False
        yield from default

    def restricted_registry(self, names: Iterable[str]) -> Any:
        """Of the application's own registry, what `?name[]=` asks for."""
        return self._own.restricted_registry(names)


class RequestMetrics:
    """`http_server_request_duration_seconds`, and the metrics of the process.

    Args:
        slo: the objective; if it is about the first byte, there is also `tidegate_first_byte_seconds`.
        lost_events: the number of lost events.
        node: the name of this replica in its events.
    """

    def __init__(self, slo: Slo, lost_events: Callable[[], int], node: Callable[[], str]) -> None:
        self.registry = CollectorRegistry()
        self._exposed = ExposedRegistry(self.registry)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(
            _AtScrape(
                lambda: CounterMetricFamily(
                    "tidegate_events_lost",
                    "Events that could not be written, because the disk was full or failed.",
                    value=lost_events(),
                )
            )
        )
        self.registry.register(_AtScrape(lambda: _replica_info(node())))
        self._durations = _by_route(
            "http_server_request_duration_seconds",
            "Time from a request's arrival at the gateway to the end of its response, without "
            "probes and scrapes; one bucket's bound is the objective, and exemplars have the "
            "ids of sampled traces.",
            slo,
            self.registry,
        )
        # OpenTelemetry's conventions have no name for it.
        self._first_bytes = (
            _by_route(
                "tidegate_first_byte_seconds",
                "With slo.until = first_byte: time from a request's arrival at the gateway to the "
                "first byte of its response's body; else as http_server_request_duration_seconds.",
                slo,
                self.registry,
            )
            if slo.until == "first_byte"
            else None
        )
        # `labels()` takes a lock and builds strings on each call; there are few routes.
        self._series: dict[tuple[bool, str, str, int | None], Histogram] = {}

    def observe(
        self,
        route: str,
        method: str,
        status: int | None,
        seconds: float,
        exemplar: dict[str, str] | None,
        *,
        first_byte: bool = False,
    ) -> None:
        """Record the duration of a request, or its time to the first byte, if the objective is about it.

        `status` is None if the client disconnected before there was one.
        """
        series = self._series.get((first_byte, route, method, status))
        if series is None:
            histogram = self._first_bytes if first_byte else self._durations
            if histogram is None:
                return
            series = histogram.labels(route, method, "" if status is None else str(status))
            self._series[first_byte, route, method, status] = series
        series.observe(seconds, exemplar)

    def encode(self, accept: str, *, default_registry: bool = False) -> tuple[bytes, str]:
        """The metrics and their content type, in OpenMetrics format (with exemplars) if `accept` has it."""
        registry = self._exposed if default_registry else self.registry
        encode: Callable[[Collector], bytes] = generate_latest
        content_type = CONTENT_TYPE_PLAIN_0_0_4
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):
            # prometheus_client raises them for a version that is not a number.
            _LOG.debug("an invalid Accept header of a scrape")
        return encode(registry), content_type


def _replica_info(node: str) -> Metric:
    info = GaugeMetricFamily(
        "tidegate_replica_info",
        "1, with the name of this replica in events: in Kubernetes that of its pod.",
        labels=("node",),
    )
    info.add_metric((node,), 1)
    return info


def _by_route(name: str, text: str, slo: Slo, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        name,
        text,
        ("http_route", "http_request_method", "http_response_status_code"),
        buckets=duration_edges(slo.latency_seconds),
        registry=registry,
    )


class MetricsEndpoint:
    """`GET /metrics`, as an ASGI application."""

    def __init__(self, metrics: RequestMetrics) -> None:
        self._metrics = metrics

    def beside(self, app: ASGIApp) -> SharedMetrics:
        """The endpoint of an application that has a `GET /metrics` of its own."""
        return SharedMetrics(self._metrics.encode, self, app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond with the metrics."""
        del receive
        accept = b", ".join(value for name, value in scope["headers"] if name == b"accept")
        body, content_type = self._metrics.encode(accept.decode("latin-1"), default_registry=True)
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
