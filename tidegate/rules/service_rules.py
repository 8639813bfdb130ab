"""The recording rules of the service, for dashboards, alerts, the terminal and the autoscaler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.rules.burn_rates import LONG_WINDOWS, RATIO_WINDOWS
from tidegate.rules.promql import edge_pattern, histogram_quantile, quoted, without_nan
from tidegate.rules.recording import Group, Recording
from tidegate.settings import Slo

SERVICE_GROUPS: Final = ("service-now", "service-load", "service-latency", "service-ratios")
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# Summing six hours of samples every two seconds would be too expensive.
RATIO_INTERVAL_SECONDS: Final = 15.0

# haproxy_backend_http_requests_total counts a request only when it is answered.
ARRIVALS: Final = 'haproxy_backend_sessions_total{job="gateway",proxy="model"}'
QUEUE: Final = 'haproxy_backend_current_queue{job="gateway",proxy="model"}'
# Not the server `waiting`, which belongs to the gateway itself.
_UP: Final = 'haproxy_server_status{job="gateway",proxy="model",server=~"model[0-9]+",state="UP"}'
_WEIGHT: Final = 'haproxy_server_weight{job="gateway",proxy="model",server=~"model[0-9]+"}'
READY: Final = 'haproxy_backend_active_servers{job="gateway",proxy="model"}'
RESPONSES: Final = "haproxy_frontend_http_responses_total"
# Counted with the status of their beginning, which is not a 5xx. A failure counts twice, by its 502 too, if
# the replica closes the connection while the request is still being sent (HAProxy 2.8).
CUT: Final = 'haproxy_backend_server_aborts_total{job="gateway",proxy="model"}'
BUSY: Final = 'tidegate_slots_busy{job="model"}'
COMPLETED: Final = 'tidegate_slot_seconds_count{job="model"}'
SLOTS: Final = 'tidegate_slots{job="model"}'
# Errors count in the error ratio; a fast error must not improve the latency.
ANSWERED: Final = 'job="model",http_response_status_code!~"5.."'
DURATION: Final = "http_server_request_duration_seconds"
# What the gateway ejects a replica for (observability/haproxy/haproxy.cfg.j2).
_OF_REPLICAS: Final = 'job="model",http_response_status_code!~"501|503"'
REPLICA_RESPONSES: Final = f"{DURATION}_count{{{_OF_REPLICAS}}}"
REPLICA_ERRORS: Final = f'{DURATION}_count{{{_OF_REPLICAS},http_response_status_code=~"5.."}}'
FIRST_BYTE: Final = "tidegate_first_byte_seconds"
SLOT_FIRST_BYTE: Final = "tidegate_slot_first_byte_seconds"


def objective_histogram(slo: Slo) -> str:
    """The histogram of the time that the objective is about, by `slo.until`."""
    return FIRST_BYTE if slo.until == "first_byte" else DURATION


def service_groups(slo: Slo) -> tuple[Group, ...]:
    """Return the recorded series of the service."""
    now, load, latency, ratios = SERVICE_GROUPS
    return (
        Group(now, tuple(_now())),
        Group(load, tuple(_load(slo))),
        Group(latency, tuple(_latency(slo))),
        Group(ratios, tuple(_ratios(slo)), RATIO_INTERVAL_SECONDS),
    )


def _now() -> Iterator[Recording]:
    yield Recording("service:queue:now", f"sum({QUEUE})", "requests waiting in the gateway")
    yield Recording("service:slots_busy:now", f"sum({BUSY})", "requests in processing")
    yield Recording(
        "service:slots_busy_most:1m",
        f"max(max_over_time({BUSY}[1m]))",
        "maximum number of concurrent requests of a replica, over 1m: a lower bound of its slots",
    )
    yield Recording("service:slots:now", f"sum({SLOTS})", "slots of all replicas")
    yield Recording("service:slots_per_replica:now", f"max({SLOTS})", "slots of one replica")
    yield Recording(
        "service:requests_in_system:now",
        "service:slots_busy:now + service:queue:now",
        "requests in processing or waiting",
    )
    yield Recording(
        "service:requests_in_system:1m",
        "avg_over_time(service:requests_in_system:now[1m])",
        "the same as a mean over 1m",
    )
    yield Recording(
        "service:replicas_up:now", 'sum(up{job="model"})', "replicas that Prometheus can scrape"
    )
    yield Recording(
        "service:replicas_ready:now",
        f"sum({READY})",
        "replicas to which the gateway sends requests",
    )
    yield Recording(
        "service:replicas_ejected:now",
        f"count({_WEIGHT} == 0 and on (server) {_UP} == 1) or 0 * count({_WEIGHT})",
        "replicas that the gateway sends no requests because their responses are errors",
    )
    yield Recording(
        "service:gateway_age_seconds:now",
        f"time() - min(timestamp({QUEUE}))",
        "age of the gateway's last sample, in seconds",
    )
    yield Recording(
        "service:replica_age_seconds:now",
        f"time() - min(timestamp({BUSY}))",
        "age of the oldest last sample of a replica, in seconds",
    )
    # The larger of the two; missing if one is missing.
    yield Recording(
        "service:signal_age_seconds:now",
        "(service:gateway_age_seconds:now >= service:replica_age_seconds:now)\n"
        "or (service:replica_age_seconds:now > service:gateway_age_seconds:now)",
        "age of the oldest sample of the signals, in seconds; missing if the gateway or all replicas cannot "
        "be scraped",
    )


def _load(slo: Slo) -> Iterator[Recording]:
    for window in ("15s", "1m"):
        yield Recording(
            f"service:arrival_rate:{window}",
            f"sum(rate({ARRIVALS}[{window}]))",
            f"requests per second that arrive at the gateway for the replicas, over {window}",
        )
    yield Recording(
        "service:completed_rate:15s",
        f"sum(rate({COMPLETED}[15s]))",
        "requests per second that leave the slots of the replicas, whatever their outcome, over 15s; those "
        "that the gateway refuses do not count",
    )
    for window in ("15s", "1m"):
        seconds, count = (
            f"sum(rate({series}[{window}]))"
            for series in ('tidegate_slot_seconds_sum{job="model"}', COMPLETED)
        )
        yield Recording(
            f"service:slot_seconds_mean:{window}",
            without_nan(f"{seconds}\n/\n{count}"),
            f"mean time of a request in its slot, in seconds, over {window}",
        )
    yield Recording(
        "service:slot_seconds_p95:1m",
        histogram_quantile(0.95, 'tidegate_slot_seconds_bucket{job="model"}', "1m"),
        "95th percentile of the time of a request in its slot, in seconds",
    )
    first_byte = slo.until == "first_byte"
    yield Recording(
        "service:slot_objective_seconds_p95:1m",
        histogram_quantile(0.95, f'{SLOT_FIRST_BYTE}_bucket{{job="model"}}', "1m")
        if first_byte
        else "service:slot_seconds_p95:1m",
        "95th percentile of the part of that time that counts for the objective: until the byte of slo.until",
    )


def _latency(slo: Slo) -> Iterator[Recording]:
    histogram = objective_histogram(slo)
    until = " to the first byte" if slo.until == "first_byte" else ""
    for window in ("15s", "1m"):
        for label, quantile in QUANTILES.items():
            yield Recording(
                f"service:latency_seconds_{label}:{window}",
                histogram_quantile(quantile, f"{histogram}_bucket{{{ANSWERED}}}", window),
                f"{label} of the response time from the arrival at the gateway{until}, in seconds, over "
                f"{window}, without 5xx",
            )
    yield Recording(
        "service:latency_objective_quantile_seconds:1m",
        histogram_quantile(slo.latency_quantile, f"{histogram}_bucket{{{ANSWERED}}}", "1m"),
        f"quantile slo.latency_quantile of the response time{until}, in seconds; compare with "
        "slo.latency_seconds",
    )


def _ratios(slo: Slo) -> Iterator[Recording]:
    histogram = objective_histogram(slo)
    within_objective = (
        f"{histogram}_bucket{{{ANSWERED},le=~{quoted(edge_pattern(slo.latency_seconds))}}}"
    )
    for window in RATIO_WINDOWS:
        failed = (
            f'(\n  sum(rate({RESPONSES}{{job="gateway",proxy="http_in",code="5xx"}}[{window}]))\n'
            f"  + (sum(rate({CUT}[{window}])) or vector(0))\n)"
        )
        answered = f'sum(rate({RESPONSES}{{job="gateway",proxy="http_in"}}[{window}]))'
        yield Recording(
            f"service:error_ratio:{window}",
            without_nan(f"{failed}\n/\n{answered}"),
            f"fraction of the gateway's responses that are a 5xx or that the replica cut off, over {window}",
        )
        within = f"sum(rate({within_objective}[{window}]))"
        total = f"sum(rate({histogram}_count{{{ANSWERED}}}[{window}]))"
        yield Recording(
            f"service:latency_miss_ratio:{window}",
            # Rounding errors must not make it negative.
            without_nan(f"clamp_min(\n  1 - (\n    {within}\n    /\n    {total}\n  ),\n  0\n)"),
            f"fraction of responses slower than slo.latency_seconds, over {window}, without 5xx",
        )

    for window in LONG_WINDOWS:
        yield Recording(
            f"service:responses:{window}",
            f'sum(increase({RESPONSES}{{job="gateway",proxy="http_in"}}[{window}])) > 0',
            f"the gateway's responses over {window}; missing without any",
        )
        yield Recording(
            f"service:answers:{window}",
            f"sum(increase({histogram}_count{{{ANSWERED}}}[{window}])) > 0",
            f"responses of the replicas over {window}, without 5xx; missing without any",
        )

    errors, answers = (
        f"sum by (replica) (rate({series}[1m]))" for series in (REPLICA_ERRORS, REPLICA_RESPONSES)
    )
    yield Recording(
        "replica:error_ratio:1m",
        without_nan(f"({errors} or 0 * {answers})\n/\n{answers}"),
        "fraction of a replica's responses that are a 5xx, but for 501 and 503, over 1m; missing without "
        "responses",
    )
