"""The queries of panels: expressions of Prometheus, or searches in Elasticsearch."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import elasticsearch as searches
from grafana_foundation_sdk.builders import prometheus as expressions
from grafana_foundation_sdk.models import elasticsearch, prometheus
from grafana_foundation_sdk.models.common import DataSourceRef

# Variables of the dashboard name the data sources, so that others can be selected.
PROMETHEUS: Final = DataSourceRef(type_val="prometheus", uid="${prometheus}")
LOGS: Final = DataSourceRef(type_val="elasticsearch", uid="${logs}")
TRACES: Final = DataSourceRef(type_val="elasticsearch", uid="${traces}")
TIME_FIELD: Final = "@timestamp"
# Grafana's own window: at least four scrape intervals, and at least the interval between two points.
WINDOW: Final = "$__rate_interval"
# Events of the chosen namespaces; the variable's "All" is a `*`.
CHOSEN: Final = "data_stream.namespace:$namespace"
LABELS: Final = 12

Query = prometheus.Dataquery | elasticsearch.Dataquery


def series(expression: str, legend: str = "", *, exemplars: bool = False) -> prometheus.Dataquery:
    """An expression over the time that is shown.

    Args:
        expression: PromQL.
        legend: names each line; `{{label}}` stands for a label's value.
        exemplars: show the traces behind the numbers; the expression needs a histogram's `_bucket`.
    """
    query = expressions.Dataquery().datasource(PROMETHEUS).expr(expression).range()
    return query.legend_format(legend or "__auto").exemplar(exemplars).build()


def recorded(series: str) -> str:
    """The last value of a series that is recorded each 15 s, while Prometheus looks back for 10 s only."""
    return f"last_over_time({series}[1m])"


def single(expression: str, legend: str = "") -> prometheus.Dataquery:
    """An expression at the end of the time that is shown."""
    query = expressions.Dataquery().datasource(PROMETHEUS).expr(expression).instant()
    return query.legend_format(legend or "__auto").build()


def buckets(expression: str) -> prometheus.Dataquery:
    """A histogram's buckets by `le`, for a heat map, with the traces behind them."""
    query = expressions.Dataquery().datasource(PROMETHEUS).expr(expression).range().exemplar(True)
    return query.legend_format("{{le}}").format(prometheus.PromQueryFormat.HEATMAP).build()


def lines(query: str, *, limit: int = 200) -> elasticsearch.Dataquery:
    """The last log lines that a Lucene query finds."""
    settings = searches.ElasticsearchLogsSettings().limit(str(limit))
    return _search(query, LOGS).metrics([searches.Logs().id("1").settings(settings)]).build()


def documents(query: str, *, limit: int = 100) -> elasticsearch.Dataquery:
    """The last events that a Lucene query finds, with each field as a column."""
    settings = searches.ElasticsearchRawDataSettings().size(str(limit))
    return _search(query, LOGS).metrics([searches.RawData().id("1").settings(settings)]).build()


def counts(query: str, *, by: str) -> elasticsearch.Dataquery:
    """The number of events over time, for each value of a field."""
    found = _over_time(_search(query, LOGS), by)
    return found.metrics([searches.Count().id("1")]).alias(f"{{{{term {by}}}}}").build()


def percentile(
    query: str, field: str, percent: int, *, by: str, source: DataSourceRef = LOGS
) -> elasticsearch.Dataquery:
    """A percentile of a field over time, for each of another field's values."""
    settings = searches.ElasticsearchPercentilesSettings().percents([str(percent)])
    metric = searches.Percentiles().id("1").field(field).settings(settings)
    return (
        _over_time(_search(query, source), by).metrics([metric]).alias(f"{{{{term {by}}}}}").build()
    )


def _search(query: str, source: DataSourceRef) -> searches.Dataquery:
    text = f"{CHOSEN} AND ({query})"
    found = searches.Dataquery().datasource(source).query(text).time_field(TIME_FIELD)
    return found.bucket_aggs([])


def _over_time(search: searches.Dataquery, by: str) -> searches.Dataquery:
    terms = searches.ElasticsearchTermsSettings().size(str(LABELS)).min_doc_count("1")
    terms = terms.order(elasticsearch.TermsOrder.DESC).order_by("_count")
    time = searches.ElasticsearchDateHistogramSettings().interval("auto").min_doc_count("0")
    return search.bucket_aggs(
        [
            searches.Terms().id("2").field(by).settings(terms),
            searches.DateHistogram().id("3").field(TIME_FIELD).settings(time.trim_edges("0")),
        ]
    )
