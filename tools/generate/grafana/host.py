"""The dashboard "Host": which resources do the stack's processes use?"""

from __future__ import annotations

from typing import Final

from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.panels import time_series_panel
from tools.generate.grafana.queries import WINDOW, range_query

DESCRIPTION: Final = (
    "What do the stack's own processes take? Processor, memory, files, and Prometheus itself."
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
                "Processor cores",
                "That each job's processes use together. The gateway's are not told: HAProxy does not "
                "export them.",
                range_query(f"sum by (job) (rate(process_cpu_seconds_total[{WINDOW}]))", "{{job}}"),
                unit="short",
                stacked=True,
            ),
            time_series_panel(
                "Memory",
                "Resident memory of each job's processes together. Steps come with replicas; a slope that "
                "stays is a leak.",
                range_query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
                unit="bytes",
                stacked=True,
            ),
            time_series_panel(
                "File descriptors",
                "Share of those that a process may open, of the worst process of each job.",
                range_query("max by (job) (process_open_fds / process_max_fds)", "{{job}}"),
                unit="percentunit",
                thresholds=(0.8,),
            ),
            time_series_panel(
                "Running for",
                "A line that falls to zero is a restart.",
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
                "Processor cores of each replica",
                "A replica with a simulated device waits rather than works, and uses little.",
                range_query(f"rate(process_cpu_seconds_total{model}[{WINDOW}])", "{{replica}}"),
                unit="short",
            ),
            time_series_panel(
                "Memory of each replica",
                "Alike, as each holds the same model.",
                range_query(f"process_resident_memory_bytes{model}", "{{replica}}"),
                unit="bytes",
            ),
            time_series_panel(
                "Open files of each replica",
                "Connections and files. It follows the requests; a slope that stays is a leak.",
                range_query(f"process_open_fds{model}", "{{replica}}"),
                unit="short",
            ),
        ],
    )


def _rules() -> PanelRow:
    # Prometheus names a group with its file's path before it.
    rounds = (
        "label_replace(\n  max by (rule_group) (prometheus_rule_group_last_duration_seconds),\n"
        '  "group", "$1", "rule_group", ".*;(.*)"\n)'
    )
    return PanelRow(
        7,
        [
            time_series_panel(
                "Time of a round of rules",
                "Each group's last one. Near its interval, rounds are left out and the autoscaler's signals "
                "grow old.",
                range_query(rounds, "{{group}}"),
                unit="s",
                alerts=("AutoscalerSignalsStale",),
            ),
            time_series_panel(
                "Rounds left out, and rules that failed",
                "All flat at zero is good.",
                range_query(
                    f"sum(rate(prometheus_rule_group_iterations_missed_total[{WINDOW}]))",
                    "left out",
                ),
                range_query(
                    f"sum(rate(prometheus_rule_evaluation_failures_total[{WINDOW}]))", "failed"
                ),
                unit="short",
                alerts=("AutoscalerSignalsStale",),
            ),
            time_series_panel(
                "Time of an answer, mean",
                "Of Prometheus to whoever asks: dashboards, the autoscaler.",
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
                "Those in memory. It grows with replicas and with labels that take too many values.",
                range_query("prometheus_tsdb_head_series", "series"),
                unit="short",
            ),
            time_series_panel(
                "Samples",
                "Taken in each second.",
                range_query(
                    f"rate(prometheus_tsdb_head_samples_appended_total[{WINDOW}])", "{{type}}"
                ),
                unit="short",
            ),
            time_series_panel(
                "Blocks on disk",
                "What is older than two hours; before, there is none. It ends at the retention.",
                range_query("prometheus_tsdb_storage_blocks_bytes", "blocks"),
                unit="bytes",
            ),
            time_series_panel(
                "Exemplars",
                "Traces that can be reached from a number.",
                range_query("prometheus_tsdb_exemplar_exemplars_in_storage", "exemplars"),
                unit="short",
            ),
        ],
    )
