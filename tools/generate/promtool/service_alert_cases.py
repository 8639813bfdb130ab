"""For each alert: series with which it must fire, and series with which it must stay silent.

They become promtool tests. Series are raw metrics, so that the recording rules are tried with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from tidegate.rules.alerts import BURNS, LAG_SECONDS, Burn
from tidegate.rules.service_rules import DURATION, QUEUE, READY, RESPONSES, SLOTS
from tidegate.settings import Settings
from tools.generate.promtool.case_types import AlertCase
from tools.generate.promtool.model_alert_cases import model_alert_cases
from tools.generate.promtool.pipeline_alert_cases import pipeline_alert_cases

# Phases: a number of minutes, and the requests in each of them.
Phases = tuple[tuple[int, int], ...]
MINUTES: Final = {"5m": 5, "30m": 30, "1h": 60, "6h": 360}
# In a burn case each minute has this many requests: enough to meet a small share exactly.
PER_MINUTE: Final = 1_000_000
GATEWAY: Final = 'job="gateway",proxy="model"'
REFUSED: Final = f"haproxy_backend_connection_errors_total{{{GATEWAY}}}"
AGE: Final = 'tidegate_autoscaler_signal_age_seconds{job="autoscaler"}'
UNKNOWN: Final = " ".join(["NaN"] * 21)
NO_SIGNAL: Final = 'tidegate_autoscaler_decisions_total{job="autoscaler",reason="no-signal"}'
DESIRED: Final = 'tidegate_autoscaler_desired_replicas{job="autoscaler"}'


def alert_cases(settings: Settings) -> tuple[AlertCase, ...]:
    """Every test, for these settings."""
    return (
        *_burns(settings),
        *_targets(),
        *_gateway(),
        *_autoscaler(settings),
        *_collector(),
        *pipeline_alert_cases(),
        *model_alert_cases(settings.drift),
    )


def _burns(settings: Settings) -> Iterator[AlertCase]:
    for burn in BURNS:
        yield from _burn(
            f"ServiceAvailabilityBurn{burn.speed}",
            burn,
            burn.threshold(1 - settings.slo.availability),
            _failed_answers,
        )
        yield from _burn(
            f"ServiceLatencyBurn{burn.speed}",
            burn,
            burn.threshold(1 - settings.slo.latency_quantile),
            partial(_slow_answers, settings.slo.latency_seconds),
        )


def _burn(
    alert: str, burn: Burn, threshold: float, series: Callable[[Phases, Phases], dict[str, str]]
) -> Iterator[AlertCase]:
    long, short = MINUTES[burn.long], MINUTES[burn.short]
    over = math.ceil(PER_MINUTE * min(1.0, threshold * 1.1))
    under = math.floor(PER_MINUTE * threshold * 0.9)
    whole, after = long + 10, short + 5
    scenarios: tuple[tuple[str, Phases, bool], ...] = (
        ("the budget burns too fast", ((whole, over),), True),
        ("the budget burns, but not that fast", ((whole, under),), False),
        ("it was bad for the whole long window and is over", ((whole, over), (after, 0)), False),
    )
    for scenario, bad, fires in scenarios:
        minutes = sum(length for length, _ in bad)
        good = tuple((length, PER_MINUTE - rate) for length, rate in bad)
        yield AlertCase(alert, scenario, series(bad, good), f"{minutes}m", fires, interval="1m")
    idle = ((whole, 0),)
    yield AlertCase(
        alert, "nothing arrives", series(idle, idle), f"{whole}m", fires=False, interval="1m"
    )


def counter(phases: Phases) -> str:
    """A counter that starts at 0; each phase is a number of minutes and the growth per minute."""
    parts, value = ["0"], 0
    for minutes, per_minute in phases:
        parts.append(f"{value + per_minute}+{per_minute}x{minutes - 1}")
        value += minutes * per_minute
    return " ".join(parts)


def _failed_answers(bad: Phases, good: Phases) -> dict[str, str]:
    labels = 'job="gateway",proxy="http_in"'
    return {
        f'{RESPONSES}{{{labels},code="5xx"}}': counter(bad),
        f'{RESPONSES}{{{labels},code="2xx"}}': counter(good),
    }


def _slow_answers(edge: float, bad: Phases, good: Phases) -> dict[str, str]:
    labels = 'job="model",http_route="/predict",http_response_status_code="200"'
    everything = tuple(
        (length, slow + fast) for (length, slow), (_, fast) in zip(bad, good, strict=True)
    )
    return {
        f'{DURATION}_bucket{{{labels},le="{edge!r}"}}': counter(good),
        f'{DURATION}_bucket{{{labels},le="+Inf"}}': counter(everything),
        f"{DURATION}_count{{{labels}}}": counter(everything),
    }


def _targets() -> Iterator[AlertCase]:
    for alert, job, extra in (
        ("ReplicaDown", "model", {"replica": "flights-2"}),
        ("GatewayDown", "gateway", {}),
        ("AutoscalerDown", "autoscaler", {}),
        ("CollectorDown", "collector", {}),
        ("WatchDown", "watch", {}),
    ):
        labels = {"job": job, "instance": "127.0.0.1:1", **extra}
        up = f"up{_selector(labels)}"
        yield AlertCase(
            alert, "it has been away for two minutes", {up: "1 0x8"}, "2m", True, labels
        )
        yield AlertCase(
            alert, "a single scrape failed", {up: "1 1 1 1 1 1 0 1 1"}, "2m", fires=False
        )


def _gateway() -> Iterator[AlertCase]:
    alert = "GatewayNoReadyReplica"
    yield AlertCase(alert, "the last replica is gone", {READY: "1 0x8"}, "2m", fires=True)
    yield AlertCase(alert, "one of two replicas is gone", {READY: "2 1x8"}, "2m", fires=False)
    yield AlertCase(
        alert, "none is wanted", {READY: "1 0x20", DESIRED: "1 0x20"}, "5m", fires=False
    )
    yield AlertCase(
        alert,
        "one has been wanted for long",
        {READY: "0x20", DESIRED: "0x4 1x16"},
        "5m",
        fires=True,
    )

    alert = "GatewayQueueGrowing"
    slots = {SLOTS: "2x40"}
    yield AlertCase(
        alert, "ten more wait at each look", {QUEUE: "0+10x40", **slots}, "5m", fires=True
    )
    yield AlertCase(
        alert, "many wait, and fewer and fewer", {QUEUE: "400-10x40", **slots}, "5m", fires=False
    )
    yield AlertCase(alert, "few wait", {QUEUE: "0 1 2 3 4x36", **slots}, "5m", fires=False)

    alert = "GatewayQueueTimeouts"
    yield AlertCase(
        alert, "requests are turned away", {REFUSED: "0x16 0+1x4", READY: "1x20"}, "5m", fires=True
    )
    yield AlertCase(
        alert, "that was long ago", {REFUSED: "0 5x20", READY: "1x20"}, "5m", fires=False
    )
    # Then GatewayNoReadyReplica fires.
    yield AlertCase(
        alert, "no replica is ready", {REFUSED: "0+1x20", READY: "0x20"}, "5m", fires=False
    )


def _autoscaler(settings: Settings) -> Iterator[AlertCase]:
    stale = settings.autoscaler.stale_seconds
    alert = "AutoscalerSignalsStale"
    fresh = {AGE: f"{stale / 2:g}x20", NO_SIGNAL: "3x20"}
    yield AlertCase(
        alert, "its signals are too old", {**fresh, AGE: f"{stale * 2:g}x20"}, "5m", fires=True
    )
    yield AlertCase(alert, "it has none", {AGE: UNKNOWN, NO_SIGNAL: "0+3x20"}, "5m", fires=True)
    yield AlertCase(alert, "its signals are fresh", fresh, "5m", fires=False)
    yield AlertCase(
        alert, "it has just begun", {AGE: UNKNOWN, NO_SIGNAL: "0x20"}, "5m", fires=False
    )

    alert = "AutoscalerAtMax"
    most, edge = settings.replicas.max, settings.slo.latency_seconds
    slow, quick = _all_slower_than(edge), _all_within(edge)
    yield AlertCase(
        alert, "all run and it is too slow", {DESIRED: f"{most}x20", **slow}, "5m", fires=True
    )
    yield AlertCase(
        alert, "all run and it is fast enough", {DESIRED: f"{most}x20", **quick}, "5m", fires=False
    )
    yield AlertCase(
        alert, "it may still add some", {DESIRED: f"{most - 1}x20", **slow}, "5m", fires=False
    )


def _all_slower_than(edge: float) -> dict[str, str]:
    return _buckets({edge: 0, edge * 2: 100})


def _all_within(edge: float) -> dict[str, str]:
    return _buckets({edge: 100, edge * 2: 100})


def _buckets(growth: Mapping[float, int]) -> dict[str, str]:
    labels = 'job="model",http_response_status_code="200"'
    edges = {repr(edge): each for edge, each in growth.items()} | {"+Inf": max(growth.values())}
    return {
        f'{DURATION}_bucket{{{labels},le="{edge}"}}': f"0+{each}x20" for edge, each in edges.items()
    }


def _collector() -> Iterator[AlertCase]:
    alert, up = "CollectorSinkDown", 'tidegate_collector_sink_up{job="collector"}'
    yield AlertCase(
        alert, "the store has been away for two minutes", {up: "1 0x8"}, "2m", fires=True
    )
    yield AlertCase(alert, "the store is there", {up: "1x8"}, "2m", fires=False)

    alert, lag = "CollectorLag", 'tidegate_collector_lag_seconds{job="collector"}'
    yield AlertCase(alert, "it falls behind", {lag: f"{LAG_SECONDS}+15x20"}, "5m", fires=True)
    yield AlertCase(alert, "it keeps up", {lag: f"{LAG_SECONDS}x20"}, "5m", fires=False)

    alert, lines = "CollectorQuarantine", 'tidegate_collector_quarantined_total{job="collector"}'
    yield AlertCase(alert, "a line is set aside", {lines: "0x10 1x10"}, "5m", fires=True)
    yield AlertCase(alert, "none is", {lines: "7x20"}, "5m", fires=False)


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
