"""The dashboard "Host": CPU, memory and files of the processes, and Prometheus itself."""

from __future__ import annotations

from typing import Final

from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.panels import time_series_panel
from tools.generate.grafana.queries import WINDOW, range_query

DESCRIPTION: Final = (
    "Which resources do the processes of the stack use? CPU, memory, files, and Prometheus itself."
)


def dashboard_json() -> str:
    """The dashboard."""
    sections = [
        Section("Processes", [_processes(), _replicas()]),
        Section("Prometheus", [_rules(), _storage()]),
    ]
    return dashboard("host", DESCRIPTION, sections, with_logs=False)


def _processes() -> PanelRow:
    return PanelRow(
        8,
        [
            time_series_panel(
                "CPU",
                "CPU cores used by the processes of each job. The gateway is missing: "
                "HAProxy does not export its CPU time.",
                range_query(f"sum by (job) (rate(process_cpu_seconds_total[{WINDOW}]))", "{{job}}"),
                unit="short",
                stacked=True,
            ),
            time_series_panel(
                "Memory",
                "Resident memory of the processes of each job. Steps come with replicas; a "
                "lasting rise is a leak.",
                range_query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
                unit="bytes",
                stacked=True,
            ),
            time_series_panel(
                "File descriptors",
                "Fraction of the allowed file descriptors in use, of the worst process of "
                "each job.",
                range_query("max by (job) (process_open_fds / process_max_fds)", "{{job}}"),
                unit="percentunit",
                thresholds=(0.8,),
            ),
            time_series_panel(
                "Uptime",
                "A drop to zero is a restart.",
                range_query("time() - min by (job) (process_start_time_seconds)", "{{job}}"),
                range_query("min(haproxy_process_uptime_seconds)", "gateway"),
                unit="s",
            ),
        ],
    )


def _replicas() -> PanelRow:
    model = '{job="model"}'
    return PanelRow(
        8,
        [
            time_series_panel(
                "CPU of each replica",
                "A replica with a simulated device mostly waits and uses little CPU.",
                range_query(f"rate(process_cpu_seconds_total{model}[{WINDOW}])", "{{replica}}"),
                unit="short",
            ),
            time_series_panel(
                "Memory of each replica",
                "Should be equal, because all replicas load the same model.",
                range_query(f"process_resident_memory_bytes{model}", "{{replica}}"),
                unit="bytes",
            ),
            time_series_panel(
                "File descriptors of each replica",
                "Connections and files. The number follows the requests; a lasting rise is a leak.",
                range_query(f"process_open_fds{model}", "{{replica}}"),
                unit="short",
            ),
        ],
    )


def _rules() -> PanelRow:
    # The label has the path of the rule file before the name of the group.
    durations = (
        "label_replace(\n  max by (rule_group) (prometheus_rule_group_last_duration_seconds),\n"
        '  "group", "$1", "rule_group", ".*;(.*)"\n)'
    )
    return PanelRow(
        7,
        [
            time_series_panel(
                "Rule evaluation duration",
                "The last evaluation of each rule group. Near the group's interval, "
                "evaluations are skipped and the autoscaler's signals become stale.",
                range_query(durations, "{{group}}"),
                unit="s",
                alerts=("AutoscalerSignalsStale",),
            ),
            time_series_panel(
                "Missed and failed rule evaluations",
                "Normally 0.",
                range_query(
                    f"sum(rate(prometheus_rule_group_iterations_missed_total[{WINDOW}]))",
                    "missed",
                ),
                range_query(
                    f"sum(rate(prometheus_rule_evaluation_failures_total[{WINDOW}]))", "failed"
                ),
                unit="short",
                alerts=("AutoscalerSignalsStale",),
            ),
            time_series_panel(
                "Mean response time of Prometheus",
                "By HTTP handler, for all clients: dashboards and the autoscaler.",
                range_query(
                    f"sum by (handler) (rate(prometheus_http_request_duration_seconds_sum[{WINDOW}]))\n/\n"
                    f"sum by (handler) (rate(prometheus_http_request_duration_seconds_count[{WINDOW}])) >= 0",
                    "{{handler}}",
                ),
                unit="s",
            ),
        ],
    )


def _storage() -> PanelRow:
    return PanelRow(
        7,
        [
            time_series_panel(
                "Series",
                "Series in memory. The number grows with replicas, and with labels that have "
                "too many values.",
                range_query("prometheus_tsdb_head_series", "series"),
                unit="short",
            ),
            time_series_panel(
                "Samples",
                "Samples ingested per second.",
                range_query(
                    f"rate(prometheus_tsdb_head_samples_appended_total[{WINDOW}])", "{{type}}"
                ),
                unit="short",
            ),
            time_series_panel(
                "Blocks on disk",
                "Data older than two hours; there are no blocks before. The retention limits "
                "the size.",
                range_query("prometheus_tsdb_storage_blocks_bytes", "blocks"),
                unit="bytes",
            ),
            time_series_panel(
                "Exemplars",
                "Exemplars in memory. Each links a sample to a trace.",
                range_query("prometheus_tsdb_exemplar_exemplars_in_storage", "exemplars"),
                unit="short",
            ),
        ],
    )
