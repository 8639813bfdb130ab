"""The dashboard "Service": is the service level objective met?"""

from __future__ import annotations

from typing import Final

from tidegate.rules.alerts import BURNS
from tidegate.rules.promql import number, present
from tidegate.rules.service_rules import DURATION, RESPONSES
from tidegate.settings import Settings
from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
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
    "Do users get what the objective promises? Requests, errors, latency, budget, saturation."
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
            "What arrives at the gateway for the replicas, over a minute.",
            range_query("service:arrival_rate:1m", "requests"),
            unit="reqps",
        ),
        stat_panel(
            "Errors",
            f"Share of answers that are a 5xx, over five minutes; {number(allowed * 100)} % are allowed.",
            range_query(latest("service:error_ratio:5m"), "errors"),
            unit="percentunit",
            thresholds=(allowed, BURNS[0].threshold(allowed)),
            alerts=("ServiceAvailabilityBurnFast", "ServiceAvailabilityBurnSlow"),
        ),
        stat_panel(
            f"Latency, p{quantile}",
            f"{quantile} % of requests are answered within this time; the objective is "
            f"{number(slo.latency_seconds)} s, from the arrival at the gateway.",
            range_query("service:latency_objective_quantile_seconds:1m", "latency"),
            unit="s",
            thresholds=(0.8 * slo.latency_seconds, slo.latency_seconds),
            alerts=("ServiceLatencyBurnFast", "ServiceLatencyBurnSlow"),
        ),
        stat_panel(
            "Queue",
            "Requests that wait in the gateway for a slot. A moment's queue is how replicas share their "
            "work; one that grows is not.",
            range_query("service:queue:now", "queue"),
            unit="short",
            thresholds=(settings.slots.per_replica, 4 * settings.slots.per_replica),
            alerts=("GatewayQueueGrowing", "GatewayQueueTimeouts"),
        ),
        stat_panel(
            "Replicas ready",
            "Those to which the gateway sends requests.",
            range_query("service:replicas_ready:now", "ready"),
            unit="short",
            thresholds=(1, 1),
            low_is_bad=True,
            alerts=("GatewayNoReadyReplica", "ReplicaDown"),
        ),
        stat_panel(
            "Alerts that fire",
            "Each has a runbook; Prometheus lists them under /alerts.",
            range_query('count(ALERTS{alertstate="firing"}) or vector(0)', "alerts"),
            unit="short",
            thresholds=(1,),
        ),
    ]
    return PanelRow(4, panels)


def _rate_errors_duration(settings: Settings) -> list[PanelRow]:
    seconds = settings.slo.latency_seconds
    answers = f'{RESPONSES}{{job="gateway",proxy="http_in",code=~"[2-5]xx"}}'
    counted = f'{DURATION}_count{{job="model"}}'
    by_route = present(
        "histogram_quantile(\n  0.99,\n"
        f'  sum by (le, http_route) (rate({DURATION}_bucket{{job="model"}}[{WINDOW}]))\n)'
    )
    failures = {
        "given up in the queue": "connection_errors",
        "broken answers": "response_errors",
        "tried again": "retry_warnings",
        "tried elsewhere": "redispatch_warnings",
        "client left": "client_aborts",
    }
    return [
        PanelRow(
            8,
            [
                time_series_panel(
                    "Answers by class of status",
                    "What clients got from the gateway, also where no replica saw the request. A 4xx is the "
                    "client's mistake, a 5xx counts against the objective.",
                    range_query(f"sum by (code) (rate({answers}[{WINDOW}]))", "{{code}}"),
                    unit="reqps",
                    stacked=True,
                ),
                time_series_panel(
                    "Answers by status, at the replicas",
                    "What the replicas answered. A status that is above but not here came from the gateway "
                    "itself: no replica was ready, or the queue was too long.",
                    range_query(
                        f"sum by (http_response_status_code) (rate({counted}[{WINDOW}]))",
                        "{{http_response_status_code}}",
                    ),
                    unit="reqps",
                    stacked=True,
                ),
                time_series_panel(
                    "Requests by kind",
                    "Light, medium and heavy ones, counted in their log lines. More heavy ones need more "
                    "replicas at the same rate.",
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
                    "Response time",
                    "From the arrival at the gateway, queueing included; the line is the objective, "
                    f"{number(seconds)} s. Each dot is a kept trace: click it, then Trace.",
                    range_query("service:latency_seconds_p50:15s", "p50"),
                    range_query("service:latency_seconds_p95:15s", "p95"),
                    range_query("service:latency_seconds_p99:15s", "p99"),
                    range_query(by_route, "p99 of {{http_route}}", exemplars=True),
                    unit="s",
                    thresholds=(seconds,),
                    alerts=("ServiceLatencyBurnFast", "ServiceLatencyBurnSlow"),
                ),
                heatmap_panel(
                    "Response times",
                    "How many requests took how long. Two bands are two kinds of requests; a band that rises "
                    "is a queue.",
                    heatmap_query(
                        f'sum by (le) (increase({DURATION}_bucket{{job="model"}}[{WINDOW}]))'
                    ),
                    unit="s",
                ),
                time_series_panel(
                    "Trouble between gateway and replicas",
                    "All flat at zero is good. Repeated attempts cost nobody but time; what is given up in "
                    "the queue is a 503.",
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
                "Requests that are worked on, and how many the replicas can work on at once. The "
                "queue begins where they meet.",
                range_query("service:slots_busy:now", "busy"),
                range_query("service:slots:now", "slots"),
                range_query("service:requests_in_system:now", "busy or waiting"),
                unit="short",
                alerts=("GatewayQueueGrowing",),
            ),
            time_series_panel(
                "Busy slots of each replica",
                "Each request goes to the replica with the fewest: lines far apart mean that one is "
                "stuck.",
                range_query(
                    'tidegate_slots_busy{job="model"} / tidegate_slots{job="model"}', "{{replica}}"
                ),
                unit="percentunit",
                soft_max=1,
            ),
            time_series_panel(
                "Requests in the gateway",
                "Those that wait in the queue, and all connections that clients hold open.",
                range_query("service:queue:now", "waiting"),
                range_query(
                    'sum(haproxy_frontend_current_sessions{job="gateway",proxy="http_in"})', "open"
                ),
                unit="short",
                alerts=("GatewayQueueGrowing", "GatewayDown"),
            ),
            time_series_panel(
                "Replicas",
                "Wanted, read by Prometheus, and served by the gateway. They part while one starts or "
                "drains; if they stay apart, one is broken.",
                range_query('max(tidegate_replicas{job="autoscaler",state="desired"})', "desired"),
                range_query("service:replicas_up:now", "up"),
                range_query("service:replicas_ready:now", "ready"),
                unit="short",
                alerts=("ReplicaDown", "GatewayNoReadyReplica"),
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
                    "What any part of the stack says is wrong. Open a line: trace.id leads to its trace "
                    "and to all of its lines.",
                    log_query("log.level:(warn OR error) OR event.outcome:failure"),
                )
            ],
        ),
        PanelRow(
            9,
            [
                logs_panel(
                    "Requests",
                    "One line for each request that the service answered, with its duration, its trace, the "
                    "model's version and the prediction.",
                    log_query("event.dataset:tidegate.request"),
                )
            ],
        ),
    ]
