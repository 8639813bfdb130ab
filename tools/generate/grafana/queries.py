"""The queries of panels, in PromQL for Prometheus and in Lucene for Elasticsearch."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import elasticsearch as searches
from grafana_foundation_sdk.builders import prometheus as expressions
from grafana_foundation_sdk.models import elasticsearch, prometheus
from grafana_foundation_sdk.models.common import DataSourceRef

# The data sources are variables of the dashboard, so a user can select others.
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${prometheus}")
LOGS: Final = DataSourceRef(type_val="elasticsearch", uid="${logs}")
TRACES: Final = DataSourceRef(type_val="elasticsearch", uid="${traces}")
TIME_FIELD: Final = "@timestamp"
# Filled in by Grafana: at least four scrape intervals, and at least the step between two points.
WINDOW: Final = "$__rate_interval"
# Events of the selected namespaces and services; the "All" of both variables is `*`.
SELECTED: Final = "data_stream.namespace:$namespace AND service.name:$service"
MAX_TERMS: Final = 12

Query = prometheus.Dataquery | elasticsearch.Dataquery


def range_query(
    expression: str, legend: str = "", *, exemplars: bool = False
) -> prometheus.Dataquery:
    """Evaluates an expression at each step of the dashboard's time range.

    Args:
        expression: for exemplars, it must query a histogram's `_bucket`.
        legend: the name of each line; `{{label}}` is replaced by the label's value.
        exemplars: show exemplars.
    """
    query = expressions.Dataquery().datasource(PROMETHEUS).expr(expression).range()
    return query.legend_format(legend or "__auto").exemplar(exemplars).build()


def latest(series: str) -> str:
    """The latest value of a series recorded every 15 s: longer than Prometheus' lookback of 10 s."""
    return f"last_over_time({series}[1m])"


def instant_query(expression: str, legend: str = "") -> prometheus.Dataquery:
    """Evaluates an expression at the end of the dashboard's time range."""
    query = expressions.Dataquery().datasource(PROMETHEUS).expr(expression).instant()
    return query.legend_format(legend or "__auto").build()


def heatmap_query(expression: str) -> prometheus.Dataquery:
    """A histogram's buckets by `le`, for a heat map, with exemplars."""
    query = expressions.Dataquery().datasource(PROMETHEUS).expr(expression).range().exemplar(True)
    return query.legend_format("{{le}}").format(prometheus.PromQueryFormat.HEATMAP).build()


def log_query(query: str, *, limit: int = 200) -> elasticsearch.Dataquery:
    """The latest log lines that match a Lucene query."""
    settings = searches.ElasticsearchLogsSettings().limit(str(limit))
    return _search(query, LOGS).metrics([searches.Logs().id("1").settings(settings)]).build()


def document_query(query: str, *, limit: int = 100) -> elasticsearch.Dataquery:
    """The latest events that match a Lucene query, with a column for each field."""
    settings = searches.ElasticsearchRawDataSettings().size(str(limit))
    return _search(query, LOGS).metrics([searches.RawData().id("1").settings(settings)]).build()


def count_query(query: str, *, by: str) -> elasticsearch.Dataquery:
    """The number of events over time, for each value of the field `by`."""
    search = _by_term_over_time(_search(query, LOGS), by)
    return search.metrics([searches.Count().id("1")]).alias(f"{{{{term {by}}}}}").build()


def percentile_query(
    query: str, field: str, percent: int, *, by: str, source: str = "logs"
) -> elasticsearch.Dataquery:
    """A percentile of a field over time, for each value of the field `by`; `source` is `logs` or `traces`."""
    settings = searches.ElasticsearchPercentilesSettings().percents([str(percent)])
    metric = searches.Percentiles().id("1").field(field).settings(settings)
    return (
        _by_term_over_time(_search(query, {"logs": LOGS, "traces": TRACES}[source]), by)
        .metrics([metric])
        .alias(f"{{{{term {by}}}}}")
        .build()
    )


def _search(query: str, source: DataSourceRef) -> searches.Dataquery:
    text = f"{SELECTED} AND ({query})"
    search = searches.Dataquery().datasource(source).query(text).time_field(TIME_FIELD)
    return search.bucket_aggs([])


def _by_term_over_time(search: searches.Dataquery, by: str) -> searches.Dataquery:
    terms = searches.ElasticsearchTermsSettings().size(str(MAX_TERMS)).min_doc_count("1")
    terms = terms.order(elasticsearch.TermsOrder.DESC).order_by("_count")
    time = searches.ElasticsearchDateHistogramSettings().interval("auto").min_doc_count("0")
    return search.bucket_aggs(
        [
            searches.Terms().id("2").field(by).settings(terms),
            searches.DateHistogram().id("3").field(TIME_FIELD).settings(time.trim_edges("0")),
        ]
    )
