"""Tests of the recording rules: raw series, and the values that the rules must record.

All values are calculated by hand from the series.
"""

from __future__ import annotations

from tidegate.rules.burn_rates import LONG_WINDOWS, RATIO_WINDOWS
from tidegate.rules.service_rules import (
    ARRIVALS,
    BUSY,
    COMPLETED,
    CUT,
    DURATION,
    QUEUE,
    READY,
    RESPONSES,
    SLOT_FIRST_BYTE,
    SLOTS,
    objective_histogram,
    service_groups,
)
from tidegate.settings import Slo
from tools.generate.promtool.case_types import STEADY, RecordingCase


def service_recording_cases(slo: Slo) -> tuple[RecordingCase, ...]:
    """Every test, for this objective."""
    names = [recording.name for group in service_groups(slo) for recording in group.recordings]
    edge = slo.latency_seconds
    return (
        RecordingCase("nothing is scraped", {}, dict.fromkeys(names)),
        RecordingCase("two replicas are up, a third is down", _gauges(), _gauge_values()),
        RecordingCase("requests arrive", _load(slo), _load_values(edge, slo)),
        RecordingCase(
            "the service is idle",
            dict.fromkeys(_load(slo), f"5{STEADY}"),
            {
                # Rates are 0; means and quantiles without observations are absent, not NaN.
                **dict.fromkeys(names),
                "service:arrival_rate:15s": 0,
                "service:arrival_rate:1m": 0,
                "service:completed_rate:15s": 0,
            },
        ),
        RecordingCase(
            "the gateway is down",
            {BUSY: f"3{STEADY}", SLOTS: f"4{STEADY}"},
            {
                "service:slots_busy:now": 3,
                "service:queue:now": None,
                "service:requests_in_system:now": None,
                "service:replica_age_seconds:now": 0,
                "service:signal_age_seconds:now": None,
            },
        ),
        RecordingCase(
            "the last scrape of a replica is 30 s older than the gateway's",
            {
                QUEUE: f"0{STEADY}",
                _with(BUSY, "replica", "flights-1"): f"1{STEADY}",
                _with(BUSY, "replica", "flights-2"): "1x285",
            },
            {
                "service:gateway_age_seconds:now": 0,
                "service:replica_age_seconds:now": 30,
                "service:signal_age_seconds:now": 30,
            },
        ),
        RecordingCase(
            "a quarter of a replica's responses are errors, and it refuses some",
            {
                f'{DURATION}_count{{job="model",replica="flights-1",http_response_status_code="{status}"}}': (
                    f"0+{responses}{STEADY}"
                )
                for status, responses in (("200", 15), ("500", 5), ("503", 4))
            },
            {"max(replica:error_ratio:1m)": 0.25},
        ),
        RecordingCase(
            "the last scrape of the gateway is 20 s older than the replica's",
            {QUEUE: "7x290", BUSY: f"1{STEADY}"},
            {"service:gateway_age_seconds:now": 20, "service:signal_age_seconds:now": 20},
        ),
    )


def _gauges() -> dict[str, str]:
    return {
        QUEUE: f"5{STEADY}",
        READY: f"2{STEADY}",
        # 4 busy slots 38 s ago, and 5 two minutes ago.
        _with(BUSY, "replica", "flights-1"): "2x239 5 2x39 4 2x20",
        _with(BUSY, "replica", "flights-2"): f"1{STEADY}",
        _with(SLOTS, "replica", "flights-1"): f"2{STEADY}",
        _with(SLOTS, "replica", "flights-2"): f"2{STEADY}",
        'up{job="model",replica="flights-1"}': f"1{STEADY}",
        'up{job="model",replica="flights-2"}': f"1{STEADY}",
        'up{job="model",replica="flights-3"}': f"0{STEADY}",
        # The third server is ejected; the last one is down since.
        **_server("model1", up=1, weight=1),
        **_server("model2", up=1, weight=1),
        **_server("model3", up=1, weight=0),
        **_server("model4", up=0, weight=0),
    }


def _server(name: str, *, up: int, weight: int) -> dict[str, str]:
    of = f'job="gateway",proxy="model",server="{name}"'
    return {
        f'haproxy_server_status{{{of},state="UP"}}': f"{up}{STEADY}",
        f"haproxy_server_weight{{{of}}}": f"{weight}{STEADY}",
    }


def _gauge_values() -> dict[str, float | None]:
    return {
        "service:queue:now": 5,
        "service:slots_busy:now": 3,
        "service:slots_busy_most:1m": 4,
        "service:slots:now": 4,
        "service:slots_per_replica:now": 2,
        "service:requests_in_system:now": 8,
        "service:requests_in_system:1m": 8,
        "service:replicas_up:now": 2,
        "service:replicas_ready:now": 2,
        "service:replicas_ejected:now": 1,
        "service:signal_age_seconds:now": 0,
    }


def _load(slo: Slo) -> dict[str, str]:
    """10 requests per second: 6 within the objective, 2 slower, 2 that fail at once.

    With an objective for the first byte: the first byte of a stream, whose last one is later than a minute.
    """
    edge, measured = slo.latency_seconds, objective_histogram(slo)
    status = "http_response_status_code"
    answered, failed = f'job="model",{status}="200"', f'job="model",{status}="503"'
    responses = f'{RESPONSES}{{job="gateway",proxy="http_in"'
    return {
        ARRIVALS: f"0+20{STEADY}",
        f'{responses},code="2xx"}}': f"0+17{STEADY}",
        f'{responses},code="5xx"}}': f"0+3{STEADY}",
        CUT: f"0+1{STEADY}",
        f'{measured}_bucket{{{answered},le="{edge / 2!r}"}}': f"0+0{STEADY}",
        f'{measured}_bucket{{{answered},le="{edge!r}"}}': f"0+12{STEADY}",
        f'{measured}_bucket{{{answered},le="{edge * 2!r}"}}': f"0+16{STEADY}",
        f'{measured}_bucket{{{answered},le="+Inf"}}': f"0+16{STEADY}",
        f"{measured}_count{{{answered}}}": f"0+16{STEADY}",
        f'{measured}_bucket{{{failed},le="{edge!r}"}}': f"0+4{STEADY}",
        f'{measured}_bucket{{{failed},le="+Inf"}}': f"0+4{STEADY}",
        f"{measured}_count{{{failed}}}": f"0+4{STEADY}",
        'tidegate_slot_seconds_sum{job="model"}': f"0+2{STEADY}",
        COMPLETED: f"0+16{STEADY}",
        'tidegate_slot_seconds_bucket{job="model",le="0.125"}': f"0+8{STEADY}",
        'tidegate_slot_seconds_bucket{job="model",le="0.25"}': f"0+16{STEADY}",
        'tidegate_slot_seconds_bucket{job="model",le="+Inf"}': f"0+16{STEADY}",
        **(_streams(answered) if slo.until == "first_byte" else {}),
    }


def _streams(answered: str) -> dict[str, str]:
    """Responses that end after more than a minute, and whose first byte takes up to 0.1 s of a slot."""
    return {
        f'{DURATION}_bucket{{{answered},le="60.0"}}': f"0+0{STEADY}",
        f'{DURATION}_bucket{{{answered},le="+Inf"}}': f"0+16{STEADY}",
        f"{DURATION}_count{{{answered}}}": f"0+16{STEADY}",
        f'{SLOT_FIRST_BYTE}_bucket{{job="model",le="0.1"}}': f"0+16{STEADY}",
        f'{SLOT_FIRST_BYTE}_bucket{{job="model",le="+Inf"}}': f"0+16{STEADY}",
    }


def _load_values(edge: float, slo: Slo) -> dict[str, float | None]:
    def latency(q: float) -> float:
        # Linear within a bucket: three quarters are between edge/2 and edge, the rest up to 2·edge.
        return edge / 2 + q / 0.75 * edge / 2 if q <= 0.75 else edge + (q - 0.75) / 0.25 * edge

    quantiles = {"p50": latency(0.5), "p95": latency(0.95), "p99": latency(0.99)}
    return {
        "service:arrival_rate:15s": 10,
        "service:arrival_rate:1m": 10,
        "service:completed_rate:15s": 8,
        "service:slot_seconds_mean:15s": 0.125,
        "service:slot_seconds_mean:1m": 0.125,
        "service:slot_seconds_p95:1m": 0.125 + 0.9 * 0.125,
        "service:slot_objective_seconds_p95:1m": 0.095
        if slo.until == "first_byte"
        else 0.125 + 0.9 * 0.125,
        **{f"service:latency_seconds_{p}:15s": value for p, value in quantiles.items()},
        **{f"service:latency_seconds_{p}:1m": value for p, value in quantiles.items()},
        "service:latency_objective_quantile_seconds:1m": latency(slo.latency_quantile),
        **{f"service:error_ratio:{window}": 0.2 for window in RATIO_WINDOWS},
        **{f"service:latency_miss_ratio:{window}": 0.25 for window in RATIO_WINDOWS},
        **{f"service:responses:{long} / service:answers:{long}": 20 / 16 for long in LONG_WINDOWS},
    }


def _with(series: str, label: str, value: str) -> str:
    return f'{series.removesuffix("}")},{label}="{value}"}}'
