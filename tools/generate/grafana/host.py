"""The dashboard "Host": which resources do the stack's processes use?"""

from __future__ import annotations

from typing import Final

from tools.generate.grafana.board import Line, Section, dashboard
from tools.generate.grafana.panels import graph
from tools.generate.grafana.queries import WINDOW, series

SAYS: Final = (
    "What do the stack's own processes take? Processor, memory, files, and Prometheus itself."
)


def dashboard_json() -> str:
    """The dashboard."""
    sections = [
        Section("Processes", [_processes(), _replicas()]),
        Section("Prometheus", [_rules(), _storage()]),
    ]
    return dashboard("host", SAYS, sections, logs=False)


def _processes() -> Line:
    return Line(
        8,
        [
            graph(
                "Processor cores",
                "That each job's processes use together. The gateway's are not told: HAProxy does not "
                "export them.",
                series(f"sum by (job) (rate(process_cpu_seconds_total[{WINDOW}]))", "{{job}}"),
                unit="short",
                stacked=True,
            ),
            graph(
                "Memory",
                "Resident memory of each job's processes together. Steps come with replicas; a slope that "
                "stays is a leak.",
                series("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
                unit="bytes",
                stacked=True,
            ),
            graph(
                "File descriptors",
                "Share of those that a process may open, of the worst process of each job.",
                series("max by (job) (process_open_fds / process_max_fds)", "{{job}}"),
                unit="percentunit",
                limits=(0.8,),
            ),
            graph(
                "Running for",
                "A line that falls to zero is a restart.",
                series("time() - min by (job) (process_start_time_seconds)", "{{job}}"),
                series("min(haproxy_process_uptime_seconds)", "gateway"),
                unit="s",
            ),
        ],
    )


def _replicas() -> Line:
    model = '{job="model"}'
    return Line(
        8,
        [
            graph(
                "Processor cores of each replica",
                "A replica with a simulated device waits rather than works, and uses little.",
                series(f"rate(process_cpu_seconds_total{model}[{WINDOW}])", "{{replica}}"),
                unit="short",
            ),
            graph(
                "Memory of each replica",
                "Alike, as each holds the same model.",
                series(f"process_resident_memory_bytes{model}", "{{replica}}"),
                unit="bytes",
            ),
            graph(
                "Open files of each replica",
                "Connections and files. It follows the requests; a slope that stays is a leak.",
                series(f"process_open_fds{model}", "{{replica}}"),
                unit="short",
            ),
        ],
    )


def _rules() -> Line:
    # Prometheus names a group with its file's path before it.
    rounds = (
        "label_replace(\n  max by (rule_group) (prometheus_rule_group_last_duration_seconds),\n"
        '  "group", "$1", "rule_group", ".*;(.*)"\n)'
    )
    return Line(
        7,
        [
            graph(
                "Time of a round of rules",
                "Each group's last one. Near its interval, rounds are left out and the autoscaler's signals "
                "grow old.",
                series(rounds, "{{group}}"),
                unit="s",
                alerts=("AutoscalerSignalsStale",),
            ),
            graph(
                "Rounds left out, and rules that failed",
                "All flat at zero is good.",
                series(
                    f"sum(rate(prometheus_rule_group_iterations_missed_total[{WINDOW}]))",
                    "left out",
                ),
                series(f"sum(rate(prometheus_rule_evaluation_failures_total[{WINDOW}]))", "failed"),
                unit="short",
                alerts=("AutoscalerSignalsStale",),
            ),
            graph(
                "Time of an answer, mean",
                "Of Prometheus to whoever asks: dashboards, the autoscaler.",
                series(
                    f"sum by (handler) (rate(prometheus_http_request_duration_seconds_sum[{WINDOW}]))\n/\n"
                    f"sum by (handler) (rate(prometheus_http_request_duration_seconds_count[{WINDOW}])) >= 0",
                    "{{handler}}",
                ),
                unit="s",
            ),
        ],
    )


def _storage() -> Line:
    return Line(
        7,
        [
            graph(
                "Series",
                "Those in memory. It grows with replicas and with labels that take too many values.",
                series("prometheus_tsdb_head_series", "series"),
                unit="short",
            ),
            graph(
                "Samples",
                "Taken in each second.",
                series(f"rate(prometheus_tsdb_head_samples_appended_total[{WINDOW}])", "{{type}}"),
                unit="short",
            ),
            graph(
                "Blocks on disk",
                "What is older than two hours; before, there is none. It ends at the retention.",
                series("prometheus_tsdb_storage_blocks_bytes", "blocks"),
                unit="bytes",
            ),
            graph(
                "Exemplars",
                "Traces that can be reached from a number.",
                series("prometheus_tsdb_exemplar_exemplars_in_storage", "exemplars"),
                unit="short",
            ),
        ],
    )
