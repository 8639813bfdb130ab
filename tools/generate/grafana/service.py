"""The dashboard "Service": requests, errors, latency, error budget and saturation."""

from __future__ import annotations

from typing import Final

from tidegate.rules.burn_rates import BURN_RATE_ALERTS
from tidegate.rules.promql import number, without_nan
from tidegate.rules.service_rules import DURATION, RESPONSES, objective_histogram
from tidegate.settings import Settings
from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.objective import finish, response_time_title
from tools.generate.grafana.panels import heatmap_panel, logs_panel, stat_panel, time_series_panel
from tools.generate.grafana.queries import (
    WINDOW,
    count_query,
    heatmap_query,
    latest,
    log_query,
    range_query,
)
from tools.generate.grafana.slo_panels import error_budget_row

DESCRIPTION: Final = (
    "Is the service level objective met? Requests, errors, latency, error budget, saturation."
)
BACKEND: Final = 'job="gateway",proxy="model"'


def dashboard_json(settings: Settings) -> str:
    """The dashboard, for this objective."""
    sections = [
        Section("Now", [_now(settings)]),
        Section("Requests, errors, duration", _rate_errors_duration(settings)),
        Section("Objective and error budget", [error_budget_row(settings.slo)]),
        Section("Saturation", [_saturation()]),
        Section("Logs", _logs()),
    ]
    return dashboard("service", DESCRIPTION, sections)


def _now(settings: Settings) -> PanelRow:
    slo = settings.slo
    allowed = 1 - slo.availability
    quantile = number(slo.latency_quantile * 100)
    panels = [
        stat_panel(
            "Requests",
            "Arrival rate at the gateway over the last minute; only requests for the "
            "replicas count.",
            range_query("service:arrival_rate:1m", "requests"),
            unit="reqps",
        ),
        stat_panel(
            "Errors",
            "Fraction of responses with a 5xx status over five minutes. The objective allows "
            f"{number(allowed * 100)} %.",
            range_query(latest("service:error_ratio:5m"), "errors"),
            unit="percentunit",
            thresholds=(allowed, BURN_RATE_ALERTS[0].threshold(allowed)),
            alerts=("ServiceAvailabilityBurnFast", "ServiceAvailabilityBurnSlow"),
        ),
        stat_panel(
            f"Latency, p{quantile}",
            f"{quantile} % of requests {finish(slo)} within this time, from the arrival at the "
            f"gateway. The objective is {number(slo.latency_seconds)} s.",
            range_query("service:latency_objective_quantile_seconds:1m", "latency"),
            unit="s",
            thresholds=(0.8 * slo.latency_seconds, slo.latency_seconds),
            alerts=("ServiceLatencyBurnFast", "ServiceLatencyBurnSlow"),
        ),
        stat_panel(
            "Queue",
            "Requests that wait in the gateway for a slot. A short queue is normal: it is "
            "how replicas share their work. A growing queue is not.",
            range_query("service:queue:now", "queue"),
            unit="short",
            thresholds=(settings.slots.per_replica, 4 * settings.slots.per_replica),
            alerts=("GatewayQueueGrowing", "GatewayQueueTimeouts"),
        ),
        stat_panel(
            "Replicas ready",
            "Replicas that receive requests from the gateway.",
            range_query("service:replicas_ready:now", "ready"),
            unit="short",
            thresholds=(1, 1),
            low_is_bad=True,
            alerts=("GatewayNoReadyReplica", "ReplicaDown"),
        ),
        stat_panel(
            "Firing alerts",
            "Each alert has a runbook. Prometheus lists the alerts under /alerts.",
            range_query('count(ALERTS{alertstate="firing"}) or vector(0)', "alerts"),
            unit="short",
            thresholds=(1,),
        ),
    ]
    return PanelRow(4, panels)


def _rate_errors_duration(settings: Settings) -> list[PanelRow]:
    seconds, measured = settings.slo.latency_seconds, objective_histogram(settings.slo)
    title = response_time_title(settings.slo)
    responses = f'{RESPONSES}{{job="gateway",proxy="http_in",code=~"[2-5]xx"}}'
    counted = f'{DURATION}_count{{job="model"}}'
    by_route = without_nan(
        "histogram_quantile(\n  0.99,\n"
        f'  sum by (le, http_route) (rate({measured}_bucket{{job="model"}}[{WINDOW}]))\n)'
    )
    failures = {
        "queue timeouts": "connection_errors",
        "response errors": "response_errors",
        "retries": "retry_warnings",
        "redispatches": "redispatch_warnings",
        "client aborts": "client_aborts",
    }
    return [
        PanelRow(
            8,
            [
                time_series_panel(
                    "Responses by status class",
                    "Responses of the gateway to clients, including those that no replica "
                    "handled. A 4xx is a client error; a 5xx counts against the objective.",
                    range_query(f"sum by (code) (rate({responses}[{WINDOW}]))", "{{code}}"),
                    unit="reqps",
                    stacked=True,
                ),
                time_series_panel(
                    "Responses of the replicas by status",
                    "Status codes that the replicas returned. A status class that clients "
                    "received but that is missing here came from the gateway: no replica was "
                    "ready, or the queue was too long.",
                    range_query(
                        f"sum by (http_response_status_code) (rate({counted}[{WINDOW}]))",
                        "{{http_response_status_code}}",
                    ),
                    unit="reqps",
                    stacked=True,
                ),
                time_series_panel(
                    "Requests by work",
                    "Light, medium and heavy requests, counted from the events. At the same "
                    "rate, more heavy requests need more replicas.",
                    count_query("event.dataset:tidegate.request", by="tidegate.work"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
            ],
        ),
        PanelRow(
            9,
            [
                time_series_panel(
                    title,
                    "From the arrival at the gateway, including the time in the queue. The "
                    f"dashed line is the objective, {number(seconds)} s. Each dot is a "
                    "sampled trace: click it, then Trace in the console.",
                    range_query("service:latency_seconds_p50:15s", "p50"),
                    range_query("service:latency_seconds_p95:15s", "p95"),
                    range_query("service:latency_seconds_p99:15s", "p99"),
                    range_query(by_route, "p99 of {{http_route}}", exemplars=True),
                    unit="s",
                    thresholds=(seconds,),
                    alerts=("ServiceLatencyBurnFast", "ServiceLatencyBurnSlow"),
                ),
                heatmap_panel(
                    f"{title} distribution",
                    "Number of requests by duration. Two bands are two kinds of requests; a "
                    "rising band is a queue.",
                    heatmap_query(
                        f'sum by (le) (increase({measured}_bucket{{job="model"}}[{WINDOW}]))'
                    ),
                    unit="s",
                ),
                time_series_panel(
                    "Failures between gateway and replicas",
                    "Normally 0. Retries only cost time; a request that times out in the "
                    "queue gets a 503.",
                    *(
                        range_query(
                            f"sum(rate(haproxy_backend_{metric}_total{{{BACKEND}}}[{WINDOW}]))",
                            name,
                        )
                        for name, metric in failures.items()
                    ),
                    unit="reqps",
                    alerts=("GatewayQueueTimeouts", "ReplicaDown"),
                ),
            ],
        ),
    ]


def _saturation() -> PanelRow:
    return PanelRow(
        8,
        [
            time_series_panel(
                "Slots",
                "Requests in progress, and how many the replicas can process at once. A "
                "queue forms where the lines meet.",
                range_query("service:slots_busy:now", "busy"),
                range_query("service:slots:now", "slots"),
                range_query("service:requests_in_system:now", "busy or waiting"),
                unit="short",
                alerts=("GatewayQueueGrowing",),
            ),
            time_series_panel(
                "Slot utilisation of each replica",
                "The gateway sends each request to the replica with the fewest requests. "
                "Lines far apart mean that a replica is stuck.",
                range_query(
                    'tidegate_slots_busy{job="model"} / tidegate_slots{job="model"}', "{{replica}}"
                ),
                unit="percentunit",
                soft_max=1,
            ),
            time_series_panel(
                "Requests and connections in the gateway",
                "Requests in the queue, and all connections that clients hold open.",
                range_query("service:queue:now", "waiting"),
                range_query(
                    'sum(haproxy_frontend_current_sessions{job="gateway",proxy="http_in"})',
                    "open connections",
                ),
                unit="short",
                alerts=("GatewayQueueGrowing", "GatewayDown"),
            ),
            time_series_panel(
                "Replicas",
                "Desired by the autoscaler, scraped by Prometheus, and used by the gateway. "
                "The lines differ while a replica starts or drains; a lasting difference "
                "means that a replica is broken.",
                range_query('max(tidegate_replicas{job="autoscaler",state="desired"})', "desired"),
                range_query("service:replicas_up:now", "up"),
                range_query("service:replicas_ready:now", "ready"),
                unit="short",
                alerts=("ReplicaDown", "ReplicaFailing", "GatewayNoReadyReplica"),
            ),
        ],
    )


def _logs() -> list[PanelRow]:
    return [
        PanelRow(
            9,
            [
                logs_panel(
                    "Failures and warnings",
                    "Warnings, errors and failures of all components. Expand a line: the "
                    "field trace.id links to the trace and to all of its log lines.",
                    log_query("log.level:(warn OR error) OR event.outcome:failure"),
                    no_data_text="No failure and no warning",
                )
            ],
        ),
        PanelRow(
            9,
            [
                logs_panel(
                    "Requests",
                    "One event for each request that the service answered, with its "
                    "duration, trace, model version and prediction.",
                    log_query("event.dataset:tidegate.request"),
                )
            ],
        ),
    ]
