"""The dashboard "Pipeline": do all events arrive, and without delay?"""

from __future__ import annotations

from typing import Final

from tidegate.rules.alerts import LAG_SECONDS
from tools.generate.grafana.board import Line, Section, dashboard
from tools.generate.grafana.panels import graph, log, number, timeline
from tools.generate.grafana.queries import WINDOW, counts, lines, series, single
from tools.generate.grafana.store import elasticsearch, logstash

SAYS: Final = (
    "Does every event reach the store, and soon? Collector, Logstash, Elasticsearch, scrapes."
)
COLLECTOR: Final = '{job="collector"}'


def dashboard_json() -> str:
    """The dashboard."""
    sections = [
        Section("Now", [_now()]),
        Section("Collector", [_collector()]),
        Section("Logstash", logstash()),
        Section("Elasticsearch", elasticsearch()),
        Section("Scrapes", [_scrapes()]),
        Section("Events", _events()),
    ]
    return dashboard("pipeline", SAYS, sections)


def _now() -> Line:
    return Line(
        4,
        [
            number(
                "Sink",
                "1: the store, or Logstash before it, took the last delivery. 0: it is away; events wait in "
                "their files.",
                series(f"min(tidegate_collector_sink_up{COLLECTOR})", "sink"),
                unit="short",
                limits=(1, 1),
                falling=True,
                alerts=("CollectorSinkDown", "CollectorDown"),
            ),
            number(
                "Lag",
                "Age of the oldest event that is not delivered yet.",
                series(f"max(tidegate_collector_lag_seconds{COLLECTOR})", "lag"),
                unit="s",
                limits=(LAG_SECONDS / 3, LAG_SECONDS),
                alerts=("CollectorLag",),
            ),
            number(
                "Backlog",
                "What is not delivered yet.",
                series(f"max(tidegate_collector_lag_bytes{COLLECTOR})", "backlog"),
                unit="bytes",
                alerts=("CollectorLag",),
            ),
            number(
                "Set aside",
                "Lines that no store can take, in the time that is shown; they lie in the collector's "
                "quarantine file.",
                single(f"sum(increase(tidegate_collector_quarantined_total{COLLECTOR}[$__range]))"),
                unit="short",
                limits=(1,),
                decimals=0,
                alerts=("CollectorQuarantine",),
            ),
            number(
                "Events lost",
                "Events that a full or failing disk did not take, in the time that is shown. Anything but 0 "
                "is a gap in the logs.",
                single('sum(increase(tidegate_events_lost_total{job="model"}[$__range]))'),
                unit="short",
                limits=(1,),
                decimals=0,
            ),
            number(
                "Targets that do not answer",
                "Of those that Prometheus reads.",
                series("count(up == 0) or vector(0)", "targets"),
                unit="short",
                limits=(1,),
                alerts=(
                    *("ReplicaDown", "GatewayDown", "AutoscalerDown"),
                    *("CollectorDown", "WatchDown", "ExporterDown", "AlertmanagerDown"),
                ),
            ),
        ],
    )


def _collector() -> Line:
    rates = {"retried": "retried", "quarantined": "set aside"}
    return Line(
        8,
        [
            graph(
                "Delivered",
                "Events that the store has acknowledged. After an outage it stands above the load "
                "until the backlog is gone.",
                series(
                    f"sum(rate(tidegate_collector_delivered_total{COLLECTOR}[{WINDOW}]))",
                    "delivered",
                ),
                unit="eps",
                alerts=("CollectorDown",),
            ),
            graph(
                "Lag",
                "How late events reach the store (left), and how much waits (right). A line that rises "
                "steadily has a sink that is away or too slow.",
                series(f"max(tidegate_collector_lag_seconds{COLLECTOR})", "age of the oldest"),
                series(f"max(tidegate_collector_lag_bytes{COLLECTOR})", "backlog"),
                unit="s",
                limits=(LAG_SECONDS,),
                right={"/^backlog$/": "bytes"},
                alerts=("CollectorLag",),
            ),
            graph(
                "Retried and set aside",
                "Retries are harmless, as each event keeps its id. Lines set aside want somebody to look.",
                *(
                    series(
                        f"sum(rate(tidegate_collector_{name}_total{COLLECTOR}[{WINDOW}]))", words
                    )
                    for name, words in rates.items()
                ),
                unit="eps",
                alerts=("CollectorSinkDown", "CollectorQuarantine"),
            ),
        ],
    )


def _scrapes() -> Line:
    return Line(
        7,
        [
            timeline(
                "Targets",
                "Which targets Prometheus could read, and when not. Replicas end when they are scaled in.",
                series("min by (job, instance) (up)", "{{job}} {{instance}}"),
                words={"1": ("up", "green"), "0": ("down", "red")},
            ),
            graph(
                "Time of a scrape",
                "The slowest of each job. Near the scrape interval, samples go missing.",
                series("max by (job) (scrape_duration_seconds)", "{{job}}"),
                unit="s",
            ),
            graph(
                "Samples of a scrape",
                "Of all targets of a job together: it grows with replicas, labels and buckets.",
                series("sum by (job) (scrape_samples_post_metric_relabeling)", "{{job}}"),
                unit="short",
            ),
        ],
    )


def _events() -> list[Line]:
    noise = "tidegate.request OR tidegate.access OR tidegate.decision OR tidegate.span"
    return [
        Line(
            8,
            [
                graph(
                    "Events in the store",
                    "By dataset, at the time when they happened. Requests without access lines, or the other "
                    "way round, are a gap.",
                    counts("*", by="event.dataset"),
                    unit="short",
                    stacked=True,
                    bars=True,
                ),
                log(
                    "What the programs say",
                    "Everything but requests and decisions: starts, ends, deliveries that failed.",
                    lines(f"NOT event.dataset:({noise})"),
                ),
            ],
        )
    ]
