"""The dashboard "Scaling": load, replicas, decisions and cost."""

from __future__ import annotations

from typing import Final

from tidegate.rules.promql import number
from tidegate.settings import Settings
from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.objective import response_time_title, slot_series
from tools.generate.grafana.panels import (
    stat_panel,
    state_timeline_panel,
    table_panel,
    time_series_panel,
)
from tools.generate.grafana.queries import WINDOW, document_query, instant_query, range_query

DESCRIPTION: Final = "Does the number of replicas match the load? Load, replicas, decisions, cost."
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
    return dashboard("scaling", DESCRIPTION, sections, time_from="now-30m")


def _now(settings: Settings) -> PanelRow:
    stale = settings.autoscaler.stale_seconds
    panels = [
        stat_panel(
            f"Replicas {state}",
            description,
            range_query(f"max({_replicas(state)})", state),
            unit="short",
            alerts=alerts,
        )
        for state, description, alerts in (
            (
                "desired",
                "The latest decision of the autoscaler.",
                ("AutoscalerAtMax", "AutoscalerDown", "AutoscalerResizerUnavailable"),
            ),
            (
                "running",
                "Existing replicas, including those that are starting. They determine the cost.",
                (),
            ),
            (
                "ready",
                "Replicas that can accept requests.",
                ("GatewayNoReadyReplica", "AutoscalerNotFollowed"),
            ),
        )
    ]
    panels += [
        stat_panel(
            "Utilisation",
            "Fraction of slots in use. Above 80 %, the time in the queue rises steeply.",
            range_query(UTILISATION, "utilisation"),
            unit="percentunit",
            thresholds=(0.8, 0.95),
        ),
        stat_panel(
            "Queue",
            "Requests that wait in the gateway.",
            range_query("service:queue:now", "queue"),
            unit="short",
            alerts=("GatewayQueueGrowing",),
        ),
        stat_panel(
            "Age of the signals",
            f"Age of the oldest sample that the last decision used. From {number(stale)} s, "
            "the autoscaler holds the number of replicas.",
            range_query(
                'max(tidegate_autoscaler_signal_age_seconds{job="autoscaler"}) >= 0', "signals"
            ),
            unit="s",
            thresholds=(0.5 * stale, stale),
            alerts=("AutoscalerSignalsStale",),
        ),
    ]
    return PanelRow(4, panels)


def _load(settings: Settings) -> list[PanelRow]:
    slo = settings.slo
    states = [range_query(f"max({_replicas(state)})", f"replicas {state}") for state in STATES]
    own = 'job="gateway",proxy="model",server!="waiting",state="UP"'
    server = f"max by (server) (haproxy_server_status{{{own}}})"
    return [
        PanelRow(
            9,
            [
                time_series_panel(
                    "Requests and replicas",
                    "Replicas (right axis) follow the load (left axis): up at once, down "
                    "slowly. The desired number changes first, the number of ready replicas "
                    "last.",
                    range_query("service:arrival_rate:15s", "requests"),
                    *states,
                    unit="reqps",
                    right_axis={"/^replicas/": "short"},
                    alerts=("AutoscalerAtMax",),
                ),
                time_series_panel(
                    "Offered load and slots",
                    "Offered load is the arrival rate times the time in a slot. While it is "
                    "above the number of slots, the queue can only grow.",
                    range_query(
                        "service:arrival_rate:15s * service:slot_seconds_mean:1m", "offered load"
                    ),
                    range_query("service:slots:now", "slots"),
                    range_query("service:slots_busy:now", "busy"),
                    unit="short",
                    alerts=("AutoscalerAtMax",),
                ),
            ],
        ),
        PanelRow(
            8,
            [
                time_series_panel(
                    response_time_title(slo),
                    "The policy keeps the objective's quantile below "
                    f"{number(slo.latency_seconds)} s.",
                    range_query(
                        "service:latency_objective_quantile_seconds:1m", "objective's quantile"
                    ),
                    range_query(*slot_series(slo)),
                    unit="s",
                    thresholds=(slo.latency_seconds,),
                    alerts=("AutoscalerAtMax", "ServiceLatencyBurnFast"),
                ),
                time_series_panel(
                    "Queue",
                    "The queue after a load step shrinks as new replicas become ready.",
                    range_query("service:queue:now", "waiting"),
                    range_query("service:requests_in_system:now", "busy or waiting"),
                    unit="short",
                    alerts=("GatewayQueueGrowing", "AutoscalerMachineFull"),
                ),
                time_series_panel(
                    "Utilisation",
                    "Fraction of slots in use. Low for long: too many replicas, or "
                    "replicas.min is too high. High for long: too few replicas.",
                    range_query(UTILISATION, "utilisation"),
                    unit="percentunit",
                    thresholds=(0.8,),
                    soft_max=1,
                ),
            ],
        ),
        PanelRow(
            7,
            [
                state_timeline_panel(
                    "Number of replicas",
                    "Each change, and the time from desired to ready.",
                    *(range_query(f"max({_replicas(state)})", state) for state in STATES),
                ),
                time_series_panel(
                    "Slots per replica",
                    "Requests that a replica processes at once. Only a vertical policy "
                    "requests another number than the current one.",
                    range_query(DESIRED_SLOTS, "desired"),
                    range_query(SLOTS, "current"),
                    unit="short",
                ),
                state_timeline_panel(
                    "Gateway servers",
                    "When each server of the gateway, one per replica index, accepted requests.",
                    range_query(server, "{{server}}"),
                    value_mappings={
                        "1": ("accepts requests", "green"),
                        "0": ("unused or not ready", "#8e8e8e55"),
                    },
                ),
            ],
        ),
    ]


def _decisions(settings: Settings) -> list[PanelRow]:
    stale = settings.autoscaler.stale_seconds
    return [
        PanelRow(
            8,
            [
                time_series_panel(
                    "Decisions by reason",
                    "`up` and `down` change the number; `stabilized` and `limited` delay a "
                    "change; `no-signal` should not last.",
                    range_query(
                        f"60 * sum by (reason) (rate({DECISIONS}[{WINDOW}]))",
                        "{{reason}}",
                    ),
                    unit="cpm",
                    stacked=True,
                    alerts=("AutoscalerSignalsStale",),
                ),
                time_series_panel(
                    "Age of the signals",
                    f"Above {number(stale)} s the autoscaler holds the number of replicas "
                    "instead of deciding from old samples.",
                    range_query("service:gateway_age_seconds:now", "gateway"),
                    range_query("service:replica_age_seconds:now", "replicas"),
                    range_query(
                        'max(tidegate_autoscaler_signal_age_seconds{job="autoscaler"}) >= 0',
                        "at the last decision",
                    ),
                    unit="s",
                    thresholds=(stale,),
                    alerts=("AutoscalerSignalsStale", "AutoscalerDown"),
                ),
            ],
        ),
        PanelRow(
            9,
            [
                table_panel(
                    "Explanations",
                    "Why the autoscaler changed the number of replicas or their slots.",
                    document_query(
                        "event.dataset:tidegate.decision AND tidegate.decision.changed:true"
                    ),
                    {
                        "@timestamp": "Time",
                        "tidegate.decision.previous": "From",
                        "tidegate.decision.desired": "To",
                        "tidegate.decision.reason": "Reason",
                        "tidegate.decision.policy": "Policy",
                        "message": "Explanation",
                    },
                    no_data_text="Nothing was changed",
                )
            ],
        ),
    ]


def _cost(settings: Settings) -> PanelRow:
    max_replicas, running = settings.replicas.max, _replicas("running")
    return PanelRow(
        7,
        [
            stat_panel(
                "Replica-seconds per hour",
                "Cost per hour at the average number of replicas in the selected time range.",
                instant_query(f"max(avg_over_time({running}[$__range])) * 3600"),
                unit="short",
            ),
            stat_panel(
                "Replica time",
                "Total running time of all replicas in the selected time range.",
                instant_query(f"max(avg_over_time({running}[$__range])) * $__range_s"),
                unit="s",
            ),
            stat_panel(
                "Saved by scaling",
                f"Compared with replicas.max = {max_replicas} replicas at all times.",
                instant_query(f"1 - max(avg_over_time({running}[$__range])) / {max_replicas}"),
                unit="percentunit",
            ),
            time_series_panel(
                "Cost",
                "Replica-seconds per hour, averaged over five minutes and over one hour.",
                range_query(f"max(avg_over_time({running}[5m])) * 3600", "over 5m"),
                range_query(f"max(avg_over_time({running}[1h])) * 3600", "over 1h"),
                unit="short",
            ),
        ],
    )


def _replicas(state: str) -> str:
    return f'tidegate_replicas{{job="autoscaler",state="{state}"}}'
