"""The alerts about the service, the autoscaler and the collector, and the list of all alerts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tidegate.rules.alert import Alert, Severity
from tidegate.rules.drift_alerts import drift_alerts
from tidegate.rules.pipeline_alerts import pipeline_alerts
from tidegate.rules.promql import number
from tidegate.settings import Settings

# A threshold above this ratio could hardly be reached, even in a complete outage.
HIGHEST_RATIO: Final = 0.9
LAG_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Burn:
    """A multi-window, multi-burn-rate alert (The Site Reliability Workbook, chapter 5).

    It fires while the error budget of a month burns `factor` times too fast over both windows: the long
    window shows that it is significant, the short one that it is still happening.
    """

    speed: Literal["Fast", "Slow"]
    long: str
    short: str
    factor: float
    severity: Severity
    spent: str

    def threshold(self, budget: float) -> float:
        """The ratio of bad requests above which it fires, for an error budget in [0, 1]."""
        return min(self.factor * budget, HIGHEST_RATIO)


BURNS: Final = (
    Burn("Fast", "1h", "5m", 14.4, "critical", "2 % of a month's budget in an hour"),
    Burn("Slow", "6h", "30m", 6.0, "warning", "5 % of a month's budget in six hours"),
)


def alerts(settings: Settings) -> tuple[Alert, ...]:
    """Every alert, for these settings."""
    return (
        *_burns(settings),
        *_service(settings),
        *_autoscaler(settings),
        *_collector(),
        *pipeline_alerts(),
        *drift_alerts(settings.drift),
    )


def _burns(settings: Settings) -> Iterator[Alert]:
    slo = settings.slo
    for burn in BURNS:
        limit = number(burn.threshold(1 - slo.availability))
        share = _percent(burn.threshold(1 - slo.availability))
        yield Alert(
            f"ServiceAvailabilityBurn{burn.speed}",
            _burning("service:error_ratio", burn, limit),
            0,
            burn.severity,
            f"Requests fail too often: {burn.spent}",
            f"Over {burn.long} and over {burn.short} more than {share} of answers are a 5xx; "
            f"the objective allows {_percent(1 - slo.availability)}.",
        )
    for burn in BURNS:
        limit = number(burn.threshold(1 - slo.latency_quantile))
        share = _percent(burn.threshold(1 - slo.latency_quantile))
        yield Alert(
            f"ServiceLatencyBurn{burn.speed}",
            _burning("service:latency_miss_ratio", burn, limit),
            0,
            burn.severity,
            f"Requests are too slow: {burn.spent}",
            f"Over {burn.long} and over {burn.short} more than {share} of answers took longer "
            f"than {number(slo.latency_seconds)} s; the objective allows "
            f"{_percent(1 - slo.latency_quantile)}.",
        )


def _burning(ratio: str, burn: Burn, limit: str) -> str:
    # Ratios are recorded every 15 s, but the lookback of the stack's Prometheus is 10 s: an instant selector
    # would find nothing a third of the time.
    long, short = (
        f"last_over_time({ratio}:{window}[1m]) > {limit}" for window in (burn.long, burn.short)
    )
    return f"{long}\nand {short}"


def _service(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        "ReplicaDown",
        'up{job="model"} == 0',
        60,
        "warning",
        "Replica {{ $labels.replica }} does not answer",
        "Its metrics cannot be read at {{ $labels.instance }}. The other replicas handle its load.",
    )
    yield Alert(
        "GatewayDown",
        'up{job="gateway"} == 0',
        30,
        "critical",
        "The gateway does not answer",
        "Its metrics cannot be read at {{ $labels.instance }}: most likely no request reaches a replica.",
    )
    yield Alert(
        "GatewayNoReadyReplica",
        # Silent while the autoscaler keeps the service at zero, and while the first replica may still start.
        "service:replicas_ready:now == 0\n"
        'unless on() max(min_over_time(tidegate_autoscaler_desired_replicas{job="autoscaler"}'
        f"[{number(settings.replicas.start_seconds)}s])) == 0",
        15,
        "critical",
        "No replica is ready",
        "The gateway has no replica to send requests to: they wait, and get a 503 after "
        f"{number(settings.gateway.queue_seconds)} s.",
    )
    yield Alert(
        "GatewayQueueGrowing",
        "service:queue:now > 2 * service:slots:now\nand deriv(service:queue:now[2m]) > 0",
        60,
        "warning",
        "The gateway's queue grows",
        "More than two requests per slot wait in the gateway, and the number grows: requests arrive faster "
        "than the replicas process them.",
    )
    yield Alert(
        "GatewayQueueTimeouts",
        'sum(increase(haproxy_backend_connection_errors_total{job="gateway",proxy="model"}[1m])) > 0\n'
        "and service:replicas_ready:now > 0",
        0,
        "warning",
        "Requests get a 503 from the gateway",
        "Although replicas are ready, requests waited in the queue for longer than gateway.queue_seconds, or "
        "no replica took their connection.",
    )


def _autoscaler(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        "AutoscalerDown",
        'up{job="autoscaler"} == 0',
        60,
        "warning",
        "The autoscaler does not answer",
        "Its metrics cannot be read at {{ $labels.instance }}: the number of replicas stays as it is.",
    )
    yield Alert(
        "AutoscalerSignalsStale",
        'max(tidegate_autoscaler_signal_age_seconds{job="autoscaler"}) > '
        f"{number(settings.autoscaler.stale_seconds)}\n"
        'or sum(increase(tidegate_autoscaler_decisions_total{job="autoscaler",reason="no-signal"}[1m])) > 0',
        60,
        "warning",
        "The autoscaler decides without fresh signals",
        "Its signals from Prometheus are missing or too old, so it keeps the number of replicas.",
    )
    yield Alert(
        "AutoscalerAtMax",
        f'max(tidegate_autoscaler_desired_replicas{{job="autoscaler"}}) >= {settings.replicas.max}\n'
        "and service:latency_objective_quantile_seconds:1m > "
        f"{number(settings.slo.latency_seconds)}",
        120,
        "warning",
        "The maximum number of replicas runs, and the objective is still missed",
        f"The autoscaler may not go beyond replicas.max = {settings.replicas.max}.",
    )


def _collector() -> Iterator[Alert]:
    yield Alert(
        "CollectorDown",
        'up{job="collector"} == 0',
        60,
        "warning",
        "The collector does not answer",
        "Its metrics cannot be read at {{ $labels.instance }}: events stay in their files and cannot be "
        "searched yet.",
    )
    yield Alert(
        "CollectorSinkDown",
        'min(tidegate_collector_sink_up{job="collector"}) == 0',
        60,
        "warning",
        "The collector cannot deliver events",
        "The store does not accept them; they stay in their files until it does.",
    )
    yield Alert(
        "CollectorLag",
        f'max(tidegate_collector_lag_seconds{{job="collector"}}) > {LAG_SECONDS}',
        120,
        "warning",
        "Events reach the store late",
        f"The oldest event that is not delivered yet is more than {LAG_SECONDS} s old.",
    )
    yield Alert(
        "CollectorQuarantine",
        'sum(increase(tidegate_collector_quarantined_total{job="collector"}[5m])) > 0',
        0,
        "warning",
        "The collector quarantined lines",
        "Lines of an event file are not valid events, or the store rejects them: they cannot be searched.",
    )


def _percent(share: float) -> str:
    return f"{number(share * 100)} %"
