"""The autoscaler's own metrics."""

from __future__ import annotations

import math
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.exposition import choose_encoder

from tidegate.autoscaler.types import Decision
from tidegate.resizer.contract import ReplicaStatus

REASONS: Final = ("hold", "tolerance", "up", "down", "stabilized", "limited", "no-signal", "paused")


class Metrics:
    """The metrics that the autoscaler exposes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
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
        self._desired = Gauge(
            "tidegate_autoscaler_desired_replicas",
            "The number last decided, which an HPA or KEDA may follow.",
            registry=self.registry,
        )
        self._desired.set(math.nan)  # 0 is a number that can be decided
        self._slots = Gauge(
            "tidegate_autoscaler_desired_slots",
            "Slots of each replica as last decided; NaN where the policy leaves them.",
            registry=self.registry,
        )
        self._slots.set(math.nan)
        self._paused = Gauge(
            "tidegate_autoscaler_paused",
            "1 while a person holds or bounds the number of replicas, else 0.",
            registry=self.registry,
        )
        self._dry_run = Gauge(
            "tidegate_autoscaler_dry_run",
            "1 if decisions are only written down, else 0.",
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

        Args:
            decision: the decision.
            status: of the resizer; None if it cannot be reached, and then the last values stay.
            age_seconds: age of the oldest series behind it; None if unknown.
            dry_run: the decision is not in force; the resizer's number is.
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
        self._desired.set(decision.desired)
        self._slots.set(math.nan if decision.slots is None else decision.slots)
        self._paused.set("control" in decision.inputs)
        self._dry_run.set(dry_run)

    def make_app(self) -> web.Application:
        """An application with `GET /metrics`."""

        async def metrics(request: web.Request) -> web.Response:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
            return web.Response(body=encode(self.registry), headers={"Content-Type": content_type})

        app = web.Application()
        app.router.add_get("/metrics", metrics)
        return app
