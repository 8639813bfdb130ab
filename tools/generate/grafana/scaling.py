"""The dashboard "Scaling": does the number of replicas fit the load?"""

from __future__ import annotations

from typing import Final

from tidegate.rules.promql import number as digits
from tidegate.settings import Settings
from tools.generate.grafana.board import Line, Section, dashboard
from tools.generate.grafana.panels import graph, number, rows, timeline
from tools.generate.grafana.queries import WINDOW, documents, series, single

SAYS: Final = (
    "Are there as many replicas as the load needs, and no more? Load, replicas, decisions, cost."
)
STATES: Final = ("desired", "running", "ready")
DECISIONS: Final = 'tidegate_autoscaler_decisions_total{job="autoscaler"}'
SLOTS: Final = "service:slots_per_replica:now"
DESIRED_SLOTS: Final = f'max(tidegate_autoscaler_desired_slots{{job="autoscaler"}}) >= 0 or {SLOTS}'
UTILISATION: Final = "service:slots_busy:now / service:slots:now"


def dashboard_json(settings: Settings) -> str:
    """The dashboard, for these limits."""
    sections = [
        Section("Now", [_now(settings)]),
        Section("Load and replicas", _load(settings)),
        Section("Decisions", _decisions(settings)),
        Section("Cost", [_cost(settings)]),
    ]
    return dashboard("scaling", SAYS, sections, shown="now-30m")


def _now(settings: Settings) -> Line:
    stale = settings.autoscaler.stale_seconds
    panels = [
        number(
            f"Replicas {state}",
            says,
            series(f"max({_replicas(state)})", state),
            unit="short",
            alerts=alerts,
        )
        for state, says, alerts in (
            ("desired", "What the autoscaler decided last.", ("AutoscalerAtMax", "AutoscalerDown")),
            ("running", "Those that exist, starting ones too: what is paid for.", ()),
            ("ready", "Those that can take requests.", ("GatewayNoReadyReplica",)),
        )
    ]
    panels += [
        number(
            "Utilisation",
            "Share of all slots that is busy. Beyond 80 % waiting times explode.",
            series(UTILISATION, "utilisation"),
            unit="percentunit",
            limits=(0.8, 0.95),
        ),
        number(
            "Queue",
            "Requests that wait in the gateway.",
            series("service:queue:now", "queue"),
            unit="short",
            alerts=("GatewayQueueGrowing",),
        ),
        number(
            "Age of the signals",
            "Of the oldest sample that the last decision was made from. From "
            f"{digits(stale)} s on the autoscaler holds.",
            series('max(tidegate_autoscaler_signal_age_seconds{job="autoscaler"}) >= 0', "signals"),
            unit="s",
            limits=(0.5 * stale, stale),
            alerts=("AutoscalerSignalsStale",),
        ),
    ]
    return Line(4, panels)


def _load(settings: Settings) -> list[Line]:
    slo = settings.slo
    states = [series(f"max({_replicas(state)})", f"replicas {state}") for state in STATES]
    own = 'job="gateway",proxy="model",server!="waiting",state="UP"'
    server = f"max by (server) (haproxy_server_status{{{own}}})"
    return [
        Line(
            9,
            [
                graph(
                    "Requests and replicas",
                    "Replicas (right) follow the load (left): up at once, down slowly. Desired leads, "
                    "ready comes last.",
                    series("service:arrival_rate:15s", "requests"),
                    *states,
                    unit="reqps",
                    right={"/^replicas/": "short"},
                    alerts=("AutoscalerAtMax",),
                ),
                graph(
                    "Offered load and slots",
                    "The work that arrives, in slots: arrival rate times the time in a slot. Above the slots "
                    "that there are, the queue can only grow.",
                    series(
                        "service:arrival_rate:15s * service:slot_seconds_mean:1m", "offered load"
                    ),
                    series("service:slots:now", "slots"),
                    series("service:slots_busy:now", "busy"),
                    unit="short",
                    alerts=("AutoscalerAtMax",),
                ),
            ],
        ),
        Line(
            8,
            [
                graph(
                    "Response time",
                    "What the policy is for: the objective's quantile stays below "
                    f"{digits(slo.latency_seconds)} s.",
                    series("service:latency_objective_quantile_seconds:1m", "objective's quantile"),
                    series("service:slot_seconds_p95:1m", "p95 in the slot"),
                    unit="s",
                    limits=(slo.latency_seconds,),
                    alerts=("AutoscalerAtMax", "ServiceLatencyBurnFast"),
                ),
                graph(
                    "Queue",
                    "A queue that comes with a step of the load is worked off by the replicas that come.",
                    series("service:queue:now", "waiting"),
                    series("service:requests_in_system:now", "waiting or worked on"),
                    unit="short",
                    alerts=("GatewayQueueGrowing",),
                ),
                graph(
                    "Utilisation",
                    "Share of all slots that is busy. Low for long: too many replicas, or a floor "
                    "(replicas.min). High for long: too few.",
                    series(UTILISATION, "utilisation"),
                    unit="percentunit",
                    limits=(0.8,),
                    top=1,
                ),
            ],
        ),
        Line(
            7,
            [
                timeline(
                    "Number of replicas",
                    "Each change, and how long a replica took from desired to ready.",
                    *(series(f"max({_replicas(state)})", state) for state in STATES),
                ),
                graph(
                    "Slots of a replica",
                    "How much a replica works on at once. Only a vertical policy asks for other than the "
                    "replicas have.",
                    series(DESIRED_SLOTS, "desired"),
                    series(SLOTS, "in force"),
                    unit="short",
                ),
                timeline(
                    "Servers of the gateway",
                    "When the gateway sent requests to which of its places for a replica.",
                    series(server, "{{server}}"),
                    words={
                        "1": ("takes requests", "green"),
                        "0": ("free or not ready", "#8e8e8e55"),
                    },
                ),
            ],
        ),
    ]


def _decisions(settings: Settings) -> list[Line]:
    stale = settings.autoscaler.stale_seconds
    return [
        Line(
            8,
            [
                graph(
                    "Decisions by reason",
                    "`up` and `down` change the number; `stabilized` and `limited` hold a change back; "
                    "`no-signal` should never be there for long.",
                    series(
                        f"60 * sum by (reason) (rate({DECISIONS}[{WINDOW}]))",
                        "{{reason}}",
                    ),
                    unit="cpm",
                    stacked=True,
                    alerts=("AutoscalerSignalsStale",),
                ),
                graph(
                    "Age of the signals",
                    f"Beyond {digits(stale)} s the autoscaler holds rather than decide by what is past.",
                    series("service:gateway_age_seconds:now", "gateway"),
                    series("service:replica_age_seconds:now", "replicas"),
                    series(
                        'max(tidegate_autoscaler_signal_age_seconds{job="autoscaler"}) >= 0',
                        "at the last decision",
                    ),
                    unit="s",
                    limits=(stale,),
                    alerts=("AutoscalerSignalsStale", "AutoscalerDown"),
                ),
            ],
        ),
        Line(
            9,
            [
                rows(
                    "Decisions, in words",
                    "Why the number is what it is. Rounds in which nothing was to be done are left out.",
                    documents(
                        "event.dataset:tidegate.decision AND NOT "
                        "tidegate.decision.reason:(hold OR tolerance)"
                    ),
                    {
                        "@timestamp": "Time",
                        "tidegate.decision.previous": "From",
                        "tidegate.decision.desired": "To",
                        "tidegate.decision.reason": "Reason",
                        "tidegate.decision.policy": "Policy",
                        "message": "In words",
                    },
                )
            ],
        ),
    ]


def _cost(settings: Settings) -> Line:
    most, running = settings.replicas.max, _replicas("running")
    return Line(
        7,
        [
            number(
                "Replica-seconds an hour",
                "What an hour costs at the average number of replicas of the time that is shown.",
                single(f"max(avg_over_time({running}[$__range])) * 3600"),
                unit="short",
            ),
            number(
                "Replica time",
                "What the time that is shown has cost: all replicas' time together.",
                single(f"max(avg_over_time({running}[$__range])) * $__range_s"),
                unit="s",
            ),
            number(
                "Saved by scaling",
                f"Against replicas.max = {most} at all times.",
                single(f"1 - max(avg_over_time({running}[$__range])) / {most}"),
                unit="percentunit",
            ),
            graph(
                "Cost",
                "Replica-seconds an hour, over the last five minutes and over the last hour.",
                series(f"max(avg_over_time({running}[5m])) * 3600", "over 5m"),
                series(f"max(avg_over_time({running}[1h])) * 3600", "over 1h"),
                unit="short",
            ),
        ],
    )


def _replicas(state: str) -> str:
    return f'tidegate_replicas{{job="autoscaler",state="{state}"}}'
