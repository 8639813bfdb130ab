"""The recording rules of the service, which dashboards, alerts, the console and the autoscaler query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tidegate.rules.promql import edge_pattern, number, present, quoted
from tidegate.rules.recording import Group, Recording
from tidegate.settings import Slo

SERVICE_GROUPS: Final = ("service-now", "service-load", "service-latency", "service-ratios")
RATIO_WINDOWS: Final = ("5m", "30m", "1h", "6h")
QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# Six hours of samples are too many to add up every two seconds.
RATIO_INTERVAL_SECONDS: Final = 15.0

# haproxy_backend_http_requests_total looks like the right one, but counts a request when it is answered.
ARRIVALS: Final = 'haproxy_backend_sessions_total{job="gateway",proxy="model"}'
QUEUE: Final = 'haproxy_backend_current_queue{job="gateway",proxy="model"}'
READY: Final = 'haproxy_backend_active_servers{job="gateway",proxy="model"}'
RESPONSES: Final = "haproxy_frontend_http_responses_total"
BUSY: Final = 'tidegate_slots_busy{job="model"}'
SLOTS: Final = 'tidegate_slots{job="model"}'
# Errors count in the error ratio; a quick error must not improve the latency.
ANSWERED: Final = 'job="model",http_response_status_code!~"5.."'
DURATION: Final = "http_server_request_duration_seconds"


def service_groups(slo: Slo) -> tuple[Group, ...]:
    """Every recorded series, for this objective."""
    now, load, latency, ratios = SERVICE_GROUPS
    return (
        Group(now, tuple(_now())),
        Group(load, tuple(_load())),
        Group(latency, tuple(_latency(slo))),
        Group(ratios, tuple(_ratios(slo)), RATIO_INTERVAL_SECONDS),
    )


def _now() -> Iterator[Recording]:
    yield Recording("service:queue:now", f"sum({QUEUE})", "requests that wait in the gateway")
    yield Recording("service:slots_busy:now", f"sum({BUSY})", "requests that are worked on")
    yield Recording(
        "service:slots_busy_most:1m",
        f"max(max_over_time({BUSY}[1m]))",
        "the most requests that one replica worked on at once, over 1m: no fewer slots does one have",
    )
    yield Recording("service:slots:now", f"sum({SLOTS})", "slots of all replicas")
    yield Recording("service:slots_per_replica:now", f"max({SLOTS})", "slots of one replica")
    yield Recording(
        "service:requests_in_system:now",
        "service:slots_busy:now + service:queue:now",
        "requests that are worked on or wait",
    )
    yield Recording(
        "service:replicas_up:now", 'sum(up{job="model"})', "replicas that Prometheus can read"
    )
    yield Recording(
        "service:replicas_ready:now",
        f"sum({READY})",
        "replicas to which the gateway sends requests",
    )
    yield Recording(
        "service:gateway_age_seconds:now",
        f"time() - min(timestamp({QUEUE}))",
        "age of what is known of the gateway, in seconds",
    )
    yield Recording(
        "service:replica_age_seconds:now",
        f"time() - min(timestamp({BUSY}))",
        "age of the oldest of what is known of the replicas, in seconds",
    )
    # The larger of the two, and nothing if one is missing.
    yield Recording(
        "service:signal_age_seconds:now",
        "(service:gateway_age_seconds:now >= service:replica_age_seconds:now)\n"
        "or (service:replica_age_seconds:now > service:gateway_age_seconds:now)",
        "age of the oldest sample that the signals are made from, in seconds; missing if the gateway or "
        "all replicas cannot be read",
    )


def _load() -> Iterator[Recording]:
    for window in ("15s", "1m"):
        yield Recording(
            f"service:arrival_rate:{window}",
            f"sum(rate({ARRIVALS}[{window}]))",
            f"requests a second that arrive at the gateway for the replicas, over {window}",
        )
    seconds, count = (
        f'sum(rate(tidegate_slot_seconds_{part}{{job="model"}}[1m]))' for part in ("sum", "count")
    )
    yield Recording(
        "service:slot_seconds_mean:1m",
        present(f"{seconds}\n/\n{count}"),
        "mean time of a request in its slot, in seconds",
    )
    yield Recording(
        "service:slot_seconds_p95:1m",
        _quantile(0.95, 'tidegate_slot_seconds_bucket{job="model"}', "1m"),
        "95th percentile of the time of a request in its slot, in seconds",
    )


def _latency(slo: Slo) -> Iterator[Recording]:
    for window in ("15s", "1m"):
        for label, quantile in QUANTILES.items():
            yield Recording(
                f"service:latency_seconds_{label}:{window}",
                _quantile(quantile, f"{DURATION}_bucket{{{ANSWERED}}}", window),
                f"{label} of the response time from the arrival at the gateway, in seconds, over {window}, "
                "5xx left out",
            )
    yield Recording(
        "service:latency_objective_quantile_seconds:1m",
        _quantile(slo.latency_quantile, f"{DURATION}_bucket{{{ANSWERED}}}", "1m"),
        "the objective's own quantile of the response time, in seconds: to compare with slo.latency_seconds",
    )


def _ratios(slo: Slo) -> Iterator[Recording]:
    kept = f"{DURATION}_bucket{{{ANSWERED},le=~{quoted(edge_pattern(slo.latency_seconds))}}}"
    for window in RATIO_WINDOWS:
        failed = f'sum(rate({RESPONSES}{{job="gateway",proxy="http_in",code="5xx"}}[{window}]))'
        answered = f'sum(rate({RESPONSES}{{job="gateway",proxy="http_in"}}[{window}]))'
        yield Recording(
            f"service:error_ratio:{window}",
            present(f"{failed}\n/\n{answered}"),
            f"share of the gateway's answers that are a 5xx, over {window}",
        )
        within = f"sum(rate({kept}[{window}]))"
        all_of_them = f"sum(rate({DURATION}_count{{{ANSWERED}}}[{window}]))"
        yield Recording(
            f"service:latency_miss_ratio:{window}",
            # Rates of two series may differ in the last digit, which must not make it negative.
            present(f"clamp_min(\n  1 - (\n    {within}\n    /\n    {all_of_them}\n  ),\n  0\n)"),
            f"share of answers slower than slo.latency_seconds, over {window}, 5xx left out",
        )


def _quantile(quantile: float, buckets: str, window: str) -> str:
    return present(
        f"histogram_quantile(\n  {number(quantile)},\n  sum by (le) (rate({buckets}[{window}]))\n)"
    )
