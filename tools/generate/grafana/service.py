"""The dashboard "Service": is the service level objective met?"""

from __future__ import annotations

from typing import Final

from tidegate.rules.alerts import BURNS
from tidegate.rules.promql import number as digits
from tidegate.rules.promql import present
from tidegate.rules.service_rules import DURATION, RESPONSES
from tidegate.settings import Settings
from tools.generate.grafana.board import Line, Section, dashboard
from tools.generate.grafana.objective import budgets
from tools.generate.grafana.panels import graph, heat, log, number
from tools.generate.grafana.queries import WINDOW, buckets, counts, lines, recorded, series

SAYS: Final = (
    "Do users get what the objective promises? Requests, errors, latency, budget, saturation."
)
BACKEND: Final = 'job="gateway",proxy="model"'


def dashboard_json(settings: Settings) -> str:
    """The dashboard, for this objective."""
    sections = [
        Section("Now", [_now(settings)]),
        Section("Requests, errors, duration", _red(settings)),
        Section("Objective and error budget", [budgets(settings.slo)]),
        Section("Saturation", [_saturation()]),
        Section("Logs", _logs()),
    ]
    return dashboard("service", SAYS, sections)


def _now(settings: Settings) -> Line:
    slo = settings.slo
    allowed = 1 - slo.availability
    quantile = digits(slo.latency_quantile * 100)
    panels = [
        number(
            "Requests",
            "What arrives at the gateway for the replicas, over a minute.",
            series("service:arrival_rate:1m", "requests"),
            unit="reqps",
        ),
        number(
            "Errors",
            f"Share of answers that are a 5xx, over five minutes; {digits(allowed * 100)} % are allowed.",
            series(recorded("service:error_ratio:5m"), "errors"),
            unit="percentunit",
            limits=(allowed, BURNS[0].threshold(allowed)),
            alerts=("ServiceAvailabilityBurnFast", "ServiceAvailabilityBurnSlow"),
        ),
        number(
            f"Latency, p{quantile}",
            f"{quantile} % of requests are answered within this time; the objective is "
            f"{digits(slo.latency_seconds)} s, from the arrival at the gateway.",
            series("service:latency_objective_quantile_seconds:1m", "latency"),
            unit="s",
            limits=(0.8 * slo.latency_seconds, slo.latency_seconds),
            alerts=("ServiceLatencyBurnFast", "ServiceLatencyBurnSlow"),
        ),
        number(
            "Queue",
            "Requests that wait in the gateway for a slot. A moment's queue is how replicas share their "
            "work; one that grows is not.",
            series("service:queue:now", "queue"),
            unit="short",
            limits=(settings.slots.per_replica, 4 * settings.slots.per_replica),
            alerts=("GatewayQueueGrowing", "GatewayQueueTimeouts"),
        ),
        number(
            "Replicas ready",
            "Those to which the gateway sends requests.",
            series("service:replicas_ready:now", "ready"),
            unit="short",
            limits=(1, 1),
            falling=True,
            alerts=("GatewayNoReadyReplica", "ReplicaDown"),
        ),
        number(
            "Alerts that fire",
            "Each has a runbook; Prometheus lists them under /alerts.",
            series('count(ALERTS{alertstate="firing"}) or vector(0)', "alerts"),
            unit="short",
            limits=(1,),
        ),
    ]
    return Line(4, panels)


def _red(settings: Settings) -> list[Line]:
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
        Line(
            8,
            [
                graph(
                    "Answers by class of status",
                    "What clients got from the gateway, also where no replica saw the request. A 4xx is the "
                    "client's mistake, a 5xx counts against the objective.",
                    series(f"sum by (code) (rate({answers}[{WINDOW}]))", "{{code}}"),
                    unit="reqps",
                    stacked=True,
                ),
                graph(
                    "Answers by status, at the replicas",
                    "What the replicas answered. A status that is above but not here came from the gateway "
                    "itself: no replica was ready, or the queue was too long.",
                    series(
                        f"sum by (http_response_status_code) (rate({counted}[{WINDOW}]))",
                        "{{http_response_status_code}}",
                    ),
                    unit="reqps",
                    stacked=True,
                ),
                graph(
                    "Requests by kind",
                    "Light, medium and heavy ones, counted in their log lines. More heavy ones need more "
                    "replicas at the same rate.",
                    counts("event.dataset:tidegate.request", by="tidegate.work"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
            ],
        ),
        Line(
            9,
            [
                graph(
                    "Response time",
                    "From the arrival at the gateway, queueing included; the line is the objective, "
                    f"{digits(seconds)} s. Each dot is a kept trace: click it, then Trace.",
                    series("service:latency_seconds_p50:15s", "p50"),
                    series("service:latency_seconds_p95:15s", "p95"),
                    series("service:latency_seconds_p99:15s", "p99"),
                    series(by_route, "p99 of {{http_route}}", exemplars=True),
                    unit="s",
                    limits=(seconds,),
                    alerts=("ServiceLatencyBurnFast", "ServiceLatencyBurnSlow"),
                ),
                heat(
                    "Response times",
                    "How many requests took how long. Two bands are two kinds of requests; a band that rises "
                    "is a queue.",
                    buckets(f'sum by (le) (increase({DURATION}_bucket{{job="model"}}[{WINDOW}]))'),
                    unit="s",
                ),
                graph(
                    "Trouble between gateway and replicas",
                    "All flat at zero is good. Repeated attempts cost nobody but time; what is given up in "
                    "the queue is a 503.",
                    *(
                        series(
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


def _saturation() -> Line:
    return Line(
        8,
        [
            graph(
                "Slots",
                "Requests that are worked on, and how many the replicas can work on at once. The "
                "queue begins where they meet.",
                series("service:slots_busy:now", "busy"),
                series("service:slots:now", "slots"),
                series("service:requests_in_system:now", "busy or waiting"),
                unit="short",
                alerts=("GatewayQueueGrowing",),
            ),
            graph(
                "Busy slots of each replica",
                "Each request goes to the replica with the fewest: lines far apart mean that one is "
                "stuck.",
                series(
                    'tidegate_slots_busy{job="model"} / tidegate_slots{job="model"}', "{{replica}}"
                ),
                unit="percentunit",
                top=1,
            ),
            graph(
                "Requests in the gateway",
                "Those that wait in the queue, and all connections that clients hold open.",
                series("service:queue:now", "waiting"),
                series(
                    'sum(haproxy_frontend_current_sessions{job="gateway",proxy="http_in"})', "open"
                ),
                unit="short",
                alerts=("GatewayQueueGrowing", "GatewayDown"),
            ),
            graph(
                "Replicas",
                "Wanted, read by Prometheus, and served by the gateway. They part while one starts or "
                "drains; if they stay apart, one is broken.",
                series('max(tidegate_replicas{job="autoscaler",state="desired"})', "desired"),
                series("service:replicas_up:now", "up"),
                series("service:replicas_ready:now", "ready"),
                unit="short",
                alerts=("ReplicaDown", "GatewayNoReadyReplica"),
            ),
        ],
    )


def _logs() -> list[Line]:
    return [
        Line(
            9,
            [
                log(
                    "Failures and warnings",
                    "What any part of the stack says is wrong. Open a line: trace.id leads to its trace "
                    "and to all of its lines.",
                    lines("log.level:(warn OR error) OR event.outcome:failure"),
                )
            ],
        ),
        Line(
            9,
            [
                log(
                    "Requests",
                    "One line for each request that the service answered, with its duration, its trace, the "
                    "model's version and the prediction.",
                    lines("event.dataset:tidegate.request"),
                )
            ],
        ),
    ]
