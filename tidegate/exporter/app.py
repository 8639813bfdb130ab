"""The exporter's HTTP server: `GET /metrics`, `POST /alerts` for Alertmanager, and `GET /live`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from pydantic import ValidationError

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.exporter.alerts import Notification, alert_event
from tidegate.exporter.backend import Backend, read_all
from tidegate.runtime.event_log import EventLog

MAX_BODY_BYTES: Final = 4 * 2**20


class _ScrapeCollector(Collector):
    """The metrics of one scrape."""

    def __init__(self, metrics: Sequence[Metric]):
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


@dataclass(frozen=True, slots=True)
class Exporter:
    """The endpoints for Prometheus and Alertmanager.

    Attributes:
        backends: read at each scrape.
        timeout_seconds: the limit for each backend.
        writer: receives the events of alerts.
        origin: the `service.*` fields of the events.
        event_log: receives the errors of the backends.
    """

    backends: Sequence[Backend]
    timeout_seconds: float
    writer: EventWriter
    origin: Origin
    event_log: EventLog

    def make_app(self) -> web.Application:
        """The application."""
        own = CollectorRegistry()
        ProcessCollector(registry=own)
        written = Counter(
            "tidegate_exporter_alerts",
            "Alerts of notifications that were written as events.",
            ["status"],
            registry=own,
        )
        for status in ("firing", "resolved"):
            written.labels(status)

        async def metrics(request: web.Request) -> web.Response:
            read = await read_all(self.backends, self.timeout_seconds, self.event_log)
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
            return web.Response(
                body=encode(_ScrapeCollector([*own.collect(), *read])),
                headers={"Content-Type": content_type},
            )

        async def alerts(request: web.Request) -> web.Response:
            try:
                notification = Notification.model_validate_json(await request.read())
            except ValidationError as error:
                return _error(400, _explain(error))
            lost = self.writer.lost
            for alert in notification.alerts:
                self.writer.write(alert_event(alert, self.origin))
                written.labels(alert.status).inc()
            if self.writer.lost > lost:
                # Alertmanager repeats the notification; events with the same id are stored once.
                return _error(503, "the events cannot be written: is the disk full?")
            return web.json_response({"events": len(notification.alerts)})

        async def live(request: web.Request) -> web.Response:
            del request
            return web.Response(text="ok\n")

        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/metrics", metrics)
        app.router.add_get("/live", live)
        app.router.add_post("/alerts", alerts)
        return app


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def _explain(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}"
        for item in error.errors(include_url=False, include_input=False)[:5]
    )
