"""The alerts about the service and its autoscaler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.rules.alert import Alert
from tidegate.rules.promql import down, duration, number
from tidegate.rules.service_rules import REPLICA_ERRORS
from tidegate.settings import Settings

# A replica fails if so many of its responses are errors, while another one has fewer than the last of these.
FAILING_RATIO: Final = 0.5
FAILING_ERRORS: Final = 5
WORKING_RATIO: Final = 0.1
# An HPA syncs each 15 s, KEDA polls each 5 s, and a resizer corrects within seconds.
FOLLOW_SECONDS: Final = 30
# KEDA removes the last replica after its cooldownPeriod: 300 s by default, 120 s in the chart.
LAST_SECONDS: Final = 600


def service_alerts(settings: Settings) -> Iterator[Alert]:
    """Return the alerts about replicas, gateway and autoscaler."""
    yield from _service(settings)
    yield from _autoscaler(settings)


def _service(settings: Settings) -> Iterator[Alert]:
    desired = 'tidegate_autoscaler_desired_replicas{job="autoscaler"}'
    start = number(settings.replicas.start_seconds)
    yield Alert(
        "ReplicaDown",
        # A program of another's (`replicas.command`) may have no metrics at all.
        'up{job="model"} == 0'
        + ('\nand max_over_time(up{job="model"}[1h]) == 1' if settings.replicas.command else ""),
        60,
        "warning",
        "Replica {{ $labels.replica }} does not respond",
        "Prometheus cannot scrape {{ $labels.instance }}. The other replicas handle its load.",
    )
    yield Alert(
        "ReplicaFailing",
        _replica_failing(),
        30,
        "warning",
        "Replica {{ $labels.node }} answers errors",
        "At least half of its responses are a 5xx, and those of another replica are not. The gateway sends "
        "it no requests but to try it, unless too few others are left (gateway.ejection).",
    )
    yield Alert(
        "GatewayDown",
        down("gateway"),
        30,
        "critical",
        "The gateway does not respond",
        "Prometheus cannot scrape it, or finds none: most likely no request reaches a replica.",
    )
    yield Alert(
        "GatewayNoReadyReplica",
        # Does not fire while the service is scaled to zero, or while the first replica may still start. Where
        # an HPA scales without the autoscaler, requests that wait show that replicas are wanted.
        "service:replicas_ready:now == 0\n"
        f"unless on() max(min_over_time({desired}[{start}s])) == 0\n"
        f"unless on() (absent({desired}) and on() min_over_time(service:queue:now[{start}s]) == 0)",
        15,
        "critical",
        "No replica is ready",
        "The gateway has no ready replica: requests wait in its queue, and get a 503 after "
        f"{number(settings.gateway.queue_seconds)} s.",
    )
    yield Alert(
        "GatewayQueueGrowing",
        "service:queue:now > 2 * service:slots:now\nand deriv(service:queue:now[2m]) > 0",
        60,
        "warning",
        "The gateway's queue is growing",
        "More than two requests per slot wait in the gateway, and their number is growing: requests arrive "
        "faster than the replicas process them.",
    )
    yield Alert(
        "GatewayQueueStuck",
        "min_over_time(service:queue:now[1m]) >= 1\nand max_over_time(service:completed_rate:15s[1m]) == 0",
        15,
        "critical",
        "Requests wait, and none is answered",
        "{{ $value }} or more requests have waited in the gateway for a minute, and none has left a slot: "
        "those in the slots do not end. They are cancelled after gateway.response_seconds, and their events "
        "say where they hang.",
    )
    yield Alert(
        "GatewayQueueTimeouts",
        "(\n"
        '  sum(increase(haproxy_backend_connection_errors_total{job="gateway",proxy="model"}[1m])) > 0\n'
        '  or sum(increase(haproxy_frontend_requests_denied_total{job="gateway",proxy="http_in"}[1m])) > 0\n'
        '  or sum(increase(haproxy_frontend_responses_denied_total{job="gateway",proxy="http_in"}[1m])) > 0\n'
        ")\n"
        "and service:replicas_ready:now > 0",
        0,
        "warning",
        "The gateway rejects requests with a 503",
        "Although replicas are ready, requests were refused because they would wait too long, waited in the "
        "queue for longer than gateway.queue_seconds, or no replica accepted a connection.",
    )
    yield Alert(
        "GatewayEventsLost",
        'sum(increase(haproxy_process_dropped_logs_total{job="gateway"}[5m])) > 0',
        0,
        "warning",
        "Access events of the gateway are lost",
        "The program that reads the gateway's events does not keep up, so the gateway drops them. Requests "
        "are not affected.",
    )


def _replica_failing() -> str:
    # The gateway tries an ejected replica after 5 minutes at the latest, with two requests. The first error
    # alone does not count, as its series is new.
    ratio = "last_over_time(replica:error_ratio:1m[10m])"
    return (
        'tidegate_replica_info{job="model"}\n'
        f"* on (replica) group_left () ({ratio} >= {number(FAILING_RATIO)})\n"
        f"and on (replica) sum by (replica) (increase({REPLICA_ERRORS}[30m])) >= {FAILING_ERRORS}\n"
        f"and on () min({ratio}) < {number(WORKING_RATIO)}"
    )


def _autoscaler(settings: Settings) -> Iterator[Alert]:
    yield Alert(
        "AutoscalerDown",
        down("autoscaler"),
        60,
        "warning",
        "The autoscaler does not respond",
        "Prometheus cannot scrape it, or finds none: the number of replicas does not change.",
    )
    yield Alert(
        "AutoscalerSignalsStale",
        'max(tidegate_autoscaler_signal_age_seconds{job="autoscaler"}) > '
        f"{number(settings.autoscaler.stale_seconds)}\n"
        'or sum(increase(tidegate_autoscaler_decisions_total{job="autoscaler",reason="no-signal"}[1m])) > 0\n'
        # Without the resizer it does not know the number of replicas, which is another alert.
        'and on() max(min_over_time(tidegate_autoscaler_resizer_up{job="autoscaler"}[1m])) == 1',
        60,
        "warning",
        "The autoscaler has no current signals",
        "Its signals from Prometheus are missing or too old, so it does not change the number of replicas.",
    )
    yield Alert(
        "AutoscalerResizerUnavailable",
        'max(tidegate_autoscaler_resizer_up{job="autoscaler"}) == 0',
        # Longer than the two ends of a replaced token can differ.
        120,
        "warning",
        "The autoscaler can neither read nor set the number of replicas",
        "The resizer, or with KEDA the API server, does not answer or refuses the autoscaler's token: the "
        "number of replicas does not change. The autoscaler's log says which.",
    )
    desired, ready = (
        f'tidegate_replicas{{job="autoscaler",state="{state}"}}' for state in ("desired", "ready")
    )
    window, last = duration(follow_seconds(settings)), duration(LAST_SECONDS)
    yield Alert(
        "AutoscalerNotFollowed",
        # Over the whole window, so that replicas that follow a rising load late are no fault. Without a
        # desired number at its begin the autoscaler has started since.
        "(\n"
        f"  max(min_over_time({desired}[{window}])) > max(max_over_time({ready}[{window}]))\n"
        f"  or (max(max_over_time({desired}[{window}])) > 0) < max(min_over_time({ready}[{window}]))\n"
        ")\n"
        f"and on() max({desired} offset {window})\n"
        f"or (max(max_over_time({desired}[{last}])) == 0) < max(min_over_time({ready}[{last}]))\n"
        f"and on() max({desired} offset {last})",
        0,
        "warning",
        "The number of replicas does not follow the decision",
        f"For {window} other numbers of replicas were ready than the autoscaler wanted, or for {last} one "
        "and it wanted none. In Kubernetes, see whether pods can start, and whether KEDA's operator or the "
        "resizer runs; elsewhere, see `tidegate status` or the resizer's log.",
    )
    yield Alert(
        "AutoscalerMachineFull",
        'max(tidegate_autoscaler_machine_full{job="autoscaler"}) == 1',
        60,
        "warning",
        "More replicas do not complete more requests",
        "Requests queue while the machine, or something else that all replicas share, is used up.",
    )
    yield Alert(
        "AutoscalerAtMax",
        f"max({desired}) >= {settings.replicas.max}\n"
        f"and on() max({ready}) >= {settings.replicas.max}\n"
        "and service:latency_objective_quantile_seconds:1m > "
        f"{number(settings.slo.latency_seconds)}",
        120,
        "warning",
        "The latency objective is missed with the maximum number of replicas",
        f"The autoscaler cannot add replicas: replicas.max is {settings.replicas.max}, and as many are "
        "ready.",
    )


def follow_seconds(settings: Settings) -> float:
    """The time within which the number of ready replicas follows the decision."""
    return settings.replicas.start_seconds + FOLLOW_SECONDS
