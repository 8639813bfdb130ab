"""The autoscaler's own metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.autoscaler.decided_number import DecidedNumber, NoNumberError
from tidegate.autoscaler.types import Decision
from tidegate.resizer.contract import ReplicaStatus
from tidegate.runtime.http_server import add_metrics_route

REASONS: Final = ("hold", "tolerance", "up", "down", "stabilized", "limited", "no-signal", "paused")


class _DesiredReplicas(Collector):
    """The decided number, absent while there is none: a number or NaN would be followed."""

    def __init__(self, decided: DecidedNumber, *, show_dry_run: bool) -> None:
        self._decided, self._show_dry_run = decided, show_dry_run

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "tidegate_autoscaler_desired_replicas",
            "The number of replicas last decided, which an HPA or KEDA may follow; absent "
            "before the first decision, and when none was made for 4 ticks.",
        )
        with suppress(NoNumberError):
            family.add_metric((), self._decided.get(accept_dry_run=self._show_dry_run))
        yield family


class Metrics:
    """The metrics that the autoscaler exposes.

    With `show_dry_run` a number that is not in force is shown, which nothing must follow then.
    """

    def __init__(
        self,
        decided: DecidedNumber,
        *,
        show_dry_run: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = CollectorRegistry()
        self._max_tick_seconds, self._clock = decided.max_age_seconds, clock
        self._ticked_at = clock()
        ProcessCollector(registry=self.registry)
        self.registry.register(_DesiredReplicas(decided, show_dry_run=show_dry_run))
        self._replicas = Gauge(
            "tidegate_replicas",
            "Replicas: desired by the autoscaler, running (ready or starting), ready.",
            ["state"],
            registry=self.registry,
        )
        self._decisions = Counter(
            "tidegate_autoscaler_decisions",
            "Decisions by their reason.",
            ["reason"],
            registry=self.registry,
        )
        self._age = Gauge(
            "tidegate_autoscaler_signal_age_seconds",
            "Age of the oldest series that the last decision was made from; NaN if unknown.",
            registry=self.registry,
        )
        self._resizer_up = Gauge(
            "tidegate_autoscaler_resizer_up",
            "1 if the resizer, or with KEDA the API server, answered at the last tick, else 0.",
            registry=self.registry,
        )
        self._slots = Gauge(
            "tidegate_autoscaler_desired_slots",
            "Slots of each replica as last decided; NaN where the policy leaves them.",
            registry=self.registry,
        )
        self._slots.set(math.nan)
        self._paused = Gauge(
            "tidegate_autoscaler_paused",
            "1 while a person holds or bounds the number of replicas (tidegate pause), else 0.",
            registry=self.registry,
        )
        self._dry_run = Gauge(
            "tidegate_autoscaler_dry_run",
            "1 if decisions are only recorded and not carried out, else 0.",
            registry=self.registry,
        )
        self._machine_full = Gauge(
            "tidegate_autoscaler_machine_full",
            "1 while requests queue and more replicas do not complete more of them (policy "
            "sloq), else 0.",
            registry=self.registry,
        )
        # A counter that begins at 1 hides its first increase from rate().
        for reason in REASONS:
            self._decisions.labels(reason)
        self._age.set(math.nan)

    def observe(
        self,
        decision: Decision,
        status: ReplicaStatus | None,
        age_seconds: float | None,
        *,
        dry_run: bool = False,
    ) -> None:
        """Count a decision and export its values.

        Without a status of the resizer the last values stay. In a dry run its number is in force, not the
        decision.
        """
        if not dry_run:
            self._replicas.labels("desired").set(decision.desired)
        if status:
            if dry_run:
                self._replicas.labels("desired").set(status.desired)
            self._replicas.labels("running").set(status.running)
            self._replicas.labels("ready").set(status.ready)
        self._decisions.labels(decision.reason).inc()
        self._age.set(math.nan if age_seconds is None else age_seconds)
        self._slots.set(math.nan if decision.slots is None else decision.slots)
        self._paused.set("control" in decision.inputs)
        self._dry_run.set(dry_run)
        self._machine_full.set(bool(decision.inputs.get("machine_full")))

    def observe_resizer(self, *, up: bool) -> None:
        """Note whether the resizer has answered in this tick."""
        self._resizer_up.set(up)

    def observe_tick(self) -> None:
        """Note that a tick has ended, with or without a decision."""
        self._ticked_at = self._clock()

    def make_app(self) -> web.Application:
        """An application with `GET /metrics`, and with `GET /live`, which fails while no tick ends."""

        async def live(request: web.Request) -> web.Response:
            del request
            seconds = self._clock() - self._ticked_at
            if seconds > self._max_tick_seconds:
                text = f"no tick has ended for {seconds:.0f} s"
                return web.json_response({"error": text}, status=503)
            return web.json_response({"status": "live"})

        app = web.Application()
        add_metrics_route(app, self.registry)
        app.router.add_get("/live", live)
        return app
