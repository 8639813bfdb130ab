"""Tests of the alerts: series with which each must fire, and series with which it must not.

The series are raw metrics, so the tests include the recording rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final

from tidegate.rules.burn_rates import BURN_RATE_ALERTS, BurnRateAlert
from tidegate.rules.pipeline_alerts import LAG_SECONDS
from tidegate.rules.service_alerts import LAST_SECONDS, follow_seconds
from tidegate.rules.service_rules import (
    COMPLETED,
    QUEUE,
    READY,
    RESPONSES,
    SLOTS,
    objective_histogram,
)
from tidegate.settings import Settings, Slo
from tools.generate.promtool.case_types import AlertCase, cases
from tools.generate.promtool.model_alert_cases import model_alert_cases
from tools.generate.promtool.pipeline_alert_cases import pipeline_alert_cases
from tools.generate.promtool.replica_alert_cases import failing_replica_cases

# For each phase: its length in minutes, and the requests per minute.
Phases = tuple[tuple[int, int], ...]
# Requests per minute in the burn rate cases: enough to represent a small fraction exactly.
PER_MINUTE: Final = 1_000_000
GATEWAY: Final = 'job="gateway",proxy="model"'
CLIENTS: Final = 'job="gateway",proxy="http_in"'
QUEUE_REFUSALS: Final = f"haproxy_frontend_requests_denied_total{{{CLIENTS}}}"
REFUSALS_OF_LARGE_BODIES: Final = f"haproxy_frontend_responses_denied_total{{{CLIENTS}}}"
QUEUE_TIMEOUTS: Final = f"haproxy_backend_connection_errors_total{{{GATEWAY}}}"
DROPPED: Final = 'haproxy_process_dropped_logs_total{job="gateway"}'
AGE: Final = 'tidegate_autoscaler_signal_age_seconds{job="autoscaler"}'
NAN: Final = " ".join(["NaN"] * 21)
NO_SIGNAL: Final = 'tidegate_autoscaler_decisions_total{job="autoscaler",reason="no-signal"}'
RESIZER_UP: Final = 'tidegate_autoscaler_resizer_up{job="autoscaler"}'
DESIRED: Final = 'tidegate_autoscaler_desired_replicas{job="autoscaler"}'


def alert_cases(settings: Settings) -> tuple[AlertCase, ...]:
    """Every test of an alert, for these settings."""
    return (
        *_burns(settings),
        *_targets(),
        *failing_replica_cases(),
        *_gateway(),
        *_autoscaler(settings),
        *_collector(),
        *pipeline_alert_cases(),
        *model_alert_cases(settings.drift),
    )


def _burns(settings: Settings) -> Iterator[AlertCase]:
    for burn in BURN_RATE_ALERTS:
        yield from _burn(
            f"ServiceAvailabilityBurn{burn.speed}",
            burn,
            burn.threshold(1 - settings.slo.availability),
            _failed_responses,
        )
        yield from _burn(
            f"ServiceLatencyBurn{burn.speed}",
            burn,
            burn.threshold(1 - settings.slo.latency_quantile),
            partial(_slow_responses, settings.slo),
        )


def _burn(
    alert: str,
    burn: BurnRateAlert,
    threshold: float,
    series: Callable[[Phases, Phases], dict[str, str]],
) -> Iterator[AlertCase]:
    long, short = burn.long_minutes, burn.short_minutes
    above = math.ceil(PER_MINUTE * min(1.0, threshold * 1.1))
    below = math.floor(PER_MINUTE * threshold * 0.9)
    bad_minutes, good_minutes = long + 10, short + 5
    over = "the long window is bad, but the incident is over"
    scenarios: tuple[tuple[str, Phases, bool], ...] = (
        ("the budget burns too fast", ((bad_minutes, above),), True),
        ("the budget burns, but slower than the threshold", ((bad_minutes, below),), False),
        (over, ((bad_minutes, above), (good_minutes, 0)), False),
    )
    for scenario, bad, fires in scenarios:
        minutes = sum(length for length, _ in bad)
        good = tuple((length, PER_MINUTE - rate) for length, rate in bad)
        at = f"{minutes}m"
        yield from cases(alert, at, (scenario, series(bad, good), fires), interval="1m")
    few = ((1, 4), (bad_minutes, 0)), ((1, 24), (bad_minutes, 0))
    yield from cases(alert, "2m", ("4 of 28 responses are bad", series(*few), False), interval="1m")
    idle = ((bad_minutes, 0),)
    none = ("there are no requests", series(idle, idle), False)
    yield from cases(alert, f"{bad_minutes}m", none, interval="1m")


def counter(phases: Phases) -> str:
    """A counter that starts at 0; each phase is a number of minutes and the growth per minute."""
    parts, value = ["0"], 0
    for minutes, per_minute in phases:
        parts.append(f"{value + per_minute}+{per_minute}x{minutes - 1}")
        value += minutes * per_minute
    return " ".join(parts)


def _failed_responses(bad: Phases, good: Phases) -> dict[str, str]:
    labels = 'job="gateway",proxy="http_in"'
    return {
        f'{RESPONSES}{{{labels},code="5xx"}}': counter(bad),
        f'{RESPONSES}{{{labels},code="2xx"}}': counter(good),
    }


def _slow_responses(slo: Slo, bad: Phases, good: Phases) -> dict[str, str]:
    labels = 'job="model",http_route="/predict",http_response_status_code="200"'
    measured = objective_histogram(slo)
    total = tuple(
        (length, slow + fast) for (length, slow), (_, fast) in zip(bad, good, strict=True)
    )
    return {
        f'{measured}_bucket{{{labels},le="{slo.latency_seconds!r}"}}': counter(good),
        f'{measured}_bucket{{{labels},le="+Inf"}}': counter(total),
        f"{measured}_count{{{labels}}}": counter(total),
    }


def _targets() -> Iterator[AlertCase]:
    for alert, job, extra in (
        ("ReplicaDown", "model", {"replica": "flights-2"}),
        ("GatewayDown", "gateway", {}),
        ("AutoscalerDown", "autoscaler", {}),
        ("CollectorDown", "collector", {}),
        ("WatchDown", "watch", {}),
        ("ExporterDown", "exporter", {}),
    ):
        labels = {"job": job, "instance": "127.0.0.1:1", **extra}
        up = f"up{_selector(labels)}"
        yield from cases(
            alert,
            "2m",
            ("the target has been down for two minutes", {up: "1 0x8"}, True),
            ("a single scrape failed", {up: "1 1 1 1 1 1 0 1 1"}, False),
            labels=labels,
        )
        if job != "model":  # a service may be scaled to zero
            yield from _vanishing(alert, job)


def _vanishing(alert: str, job: str) -> Iterator[AlertCase]:
    """The last target of a job vanishes, as with the last pod; a deployment without this job is no fault."""
    up = f'up{{job="{job}",instance="10.0.0.1:1"}}'
    own = f'job="prometheus",instance="127.0.0.1:9090",scrape_job="{job}"'
    found = f"prometheus_target_scrape_pool_targets{{{own}}}"
    yield from cases(
        alert,
        "2m",
        ("its last target has vanished", {up: "1 _x9", found: "1 0x9"}, True),
        ("its target is replaced", {up: "1 _x9", found: "1 1 0 1x9"}, False),
        ("this deployment has no such job", {up: "1 _x9"}, False),
    )


def _gateway() -> Iterator[AlertCase]:
    yield from cases(
        "GatewayNoReadyReplica",
        "2m",
        ("the last replica is gone", {READY: "1 0x8"}, True),
        ("one of two replicas is gone", {READY: "2 1x8"}, False),
    )
    waited = "without the autoscaler, requests have waited for minutes"
    yield from cases(
        "GatewayNoReadyReplica",
        "5m",
        ("no replica is desired", {READY: "1 0x20", DESIRED: "1 0x20"}, False),
        ("without the autoscaler, nothing waits", {READY: "0x20", QUEUE: "0x20"}, False),
        (waited, {READY: "0x20", QUEUE: "0x4 1x16"}, True),
        ("a replica has been desired for minutes", {READY: "0x20", DESIRED: "0x4 1x16"}, True),
    )
    slots = {SLOTS: "2x40"}
    yield from cases(
        "GatewayQueueGrowing",
        "5m",
        ("the queue grows by ten requests per sample", {QUEUE: "0+10x40", **slots}, True),
        ("a long queue shrinks", {QUEUE: "400-10x40", **slots}, False),
        ("the queue is short", {QUEUE: "0 1 2 3 4x36", **slots}, False),
    )
    yield from cases(
        "GatewayQueueStuck",
        "3m",
        ("requests wait behind others that do not end", {QUEUE: "62x40", COMPLETED: "7x40"}, True),
        ("some are answered", {QUEUE: "62x40", COMPLETED: "0 7+1x40"}, False),
        ("the last one waits for seconds only", {QUEUE: "0x30 62x9", COMPLETED: "7x40"}, False),
        ("none wait", {QUEUE: "0x40", COMPLETED: "7x40"}, False),
        interval="5s",
    )
    late, ready = "0x16 0+1x4", {READY: "1x20"}
    none = {QUEUE_TIMEOUTS: "0x20"}
    long_ago = {QUEUE_TIMEOUTS: "0 5x20", QUEUE_REFUSALS: "0 5x20", **ready}
    large = {**none, REFUSALS_OF_LARGE_BODIES: late, **ready}
    yield from cases(
        "GatewayQueueTimeouts",
        "5m",
        ("requests time out in the queue", {QUEUE_TIMEOUTS: late, **ready}, True),
        ("requests are refused at once", {**none, QUEUE_REFUSALS: late, **ready}, True),
        ("requests with large bodies are refused", large, True),
        ("requests timed out long ago", long_ago, False),
        # Then GatewayNoReadyReplica fires.
        ("no replica is ready", {QUEUE_TIMEOUTS: "0+1x20", READY: "0x20"}, False),
    )
    alert = "GatewayEventsLost"
    yield from cases(alert, "5m", ("events are dropped", {DROPPED: "0x16 7x4"}, True))
    yield from cases(alert, "10m", ("events were dropped long ago", {DROPPED: "0 7x40"}, False))
    yield from cases(alert, "5m", ("no event is dropped", {DROPPED: "0x20"}, False))


def _autoscaler(settings: Settings) -> Iterator[AlertCase]:
    stale = settings.autoscaler.stale_seconds
    fresh = {AGE: f"{stale / 2:g}x20", NO_SIGNAL: "3x20", RESIZER_UP: "1x20"}
    none = {**fresh, AGE: NAN, NO_SIGNAL: "0+3x20"}
    yield from cases(
        "AutoscalerSignalsStale",
        "5m",
        ("its signals are too old", {**fresh, AGE: f"{stale * 2:g}x20"}, True),
        ("it has no signals", none, True),
        ("the resizer is away", {**none, RESIZER_UP: "0x20"}, False),
        ("its signals are fresh", fresh, False),
        ("it has just started", {AGE: NAN, NO_SIGNAL: "0x20"}, False),
    )
    yield from cases(
        "AutoscalerResizerUnavailable",
        "5m",
        ("the token is refused", {RESIZER_UP: "1 0x20"}, True),
        ("a restarted one answers again", {RESIZER_UP: "1 0 0 0 1x17"}, False),
    )
    yield from _followed(settings)
    full = 'tidegate_autoscaler_machine_full{job="autoscaler"}'
    yield from cases(
        "AutoscalerMachineFull",
        "5m",
        ("more replicas do not help", {full: "0 1x20"}, True),
        ("more replicas help again", {full: "0 1 1 0x17"}, False),
    )
    most, slo = settings.replicas.max, settings.slo
    slow, quick = _buckets(slo, 0), _buckets(slo, 100)
    for scenario, desired, ready, latency, fires in (
        ("all replicas run and the latency is too high", most, most, slow, True),
        ("all replicas run and the latency is low", most, most, quick, False),
        ("it can still add replicas", most - 1, most - 1, slow, False),
        ("the replicas do not exist", most, 1, slow, False),
    ):
        series = _replicas(f"{desired}x20", f"{ready}x20")
        yield AlertCase("AutoscalerAtMax", scenario, {**series, **latency}, "5m", fires)


def _replicas(desired: str, ready: str) -> dict[str, str]:
    """The numbers of the autoscaler."""
    of = 'tidegate_replicas{job="autoscaler",state="'
    return {f'{of}desired"}}': desired, f'{of}ready"}}': ready}


def _followed(settings: Settings) -> Iterator[AlertCase]:
    alert = "AutoscalerNotFollowed"
    # Samples of the window; replicas become ready half a window after they are wanted.
    window = math.ceil(follow_seconds(settings) / 15)
    late = window // 2
    at, absent = f"{2 * window * 15}s", f"_x{window + 1}"
    rising = " ".join(f"{number}x{late - 1}" for number in range(1, 9))
    for scenario, desired, ready, fires in (
        ("KEDA is away, and more are wanted", f"1 4x{2 * window}", f"1x{2 * window}", True),
        ("KEDA is away, and fewer are wanted", f"4 2x{2 * window}", f"4x{2 * window}", True),
        ("one of the pods has no node", f"2 4x{2 * window}", f"2x3 3x{2 * window}", True),
        ("a rising load is followed late", rising, f"1x{late - 1} {rising}", False),
        ("the stack has just started", f"{absent} 2x{window}", f"{absent} 0x{window}", False),
        ("KEDA waits before it removes the last", f"1 0x{2 * window}", f"1x{2 * window}", False),
        ("the number is followed", f"3x{2 * window}", f"3x{2 * window}", False),
    ):
        yield AlertCase(alert, scenario, _replicas(desired, ready), at, fires)
    samples = math.ceil(LAST_SECONDS / 15) + 20
    none, started = f"1 0x{samples}", f"_x{samples - 9}"
    for scenario, desired, ready, fires in (
        ("KEDA is away, and none is wanted", none, f"1x{samples}", True),
        ("KEDA removes the last after its cooldown", none, f"1x20 0x{samples - 20}", False),
        ("an autoscaler that wants none has just started", f"{started} 0x9", f"1x{samples}", False),
    ):
        yield AlertCase(alert, scenario, _replicas(desired, ready), f"{15 * samples}s", fires)


def _buckets(slo: Slo, within: int) -> dict[str, str]:
    """100 responses per sample within twice the objective, and this number within the objective."""
    labels, edge = 'job="model",http_response_status_code="200"', slo.latency_seconds
    edges = {repr(edge): within, repr(edge * 2): 100, "+Inf": 100}
    return {
        f'{objective_histogram(slo)}_bucket{{{labels},le="{upper}"}}': f"0+{each}x20"
        for upper, each in edges.items()
    }


def _collector() -> Iterator[AlertCase]:
    def metric(name: str) -> str:
        return f'tidegate_collector_{name}{{job="collector"}}'

    up, lag, damages = metric("sink_up"), metric("lag_seconds"), metric("store_damages_total")
    lines, lost = metric("quarantined_total"), metric("lost_bytes_total")
    no_line, no_loss = "no further line is quarantined", "nothing more is lost"
    yield from cases(
        "CollectorSinkDown",
        "2m",
        ("the store has been unavailable for two minutes", {up: "1 0x8"}, True),
        ("the store is available", {up: "1x8"}, False),
    )
    for alert, name, fault, samples, none, steady in (
        ("Lag", lag, "it falls behind", f"{LAG_SECONDS}+15x20", "it keeps up", f"{LAG_SECONDS}x20"),
        ("Quarantine", lines, "a line is quarantined", "0x10 1x10", no_line, "7x20"),
        ("EventsLost", lost, "a file is deleted undelivered", "0x10 9x10", no_loss, "9x20"),
        ("StoreDamaged", damages, "a segment is damaged", "0x10 1x10", "it was repaired", "1x20"),
    ):
        scenarios = ((fault, {name: samples}, True), (none, {name: steady}, False))
        yield from cases(f"Collector{alert}", "5m", *scenarios)


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
