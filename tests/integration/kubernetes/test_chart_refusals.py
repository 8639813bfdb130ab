"""Values that the chart refuses: one sentence that names the value."""

from __future__ import annotations

from typing import Any

import pytest

from support.kubernetes.chart import EVERYTHING, KEDA, OPERATOR, refusal, template, with_url

NO_KEDA = (
    "but this cluster has no KEDA (no API keda.sh/v1alpha1): install KEDA first, or set scaling.mode to"
    " resizer; without a cluster, add --api-versions keda.sh/v1alpha1"
)


@pytest.mark.parametrize(
    ("values", "place", "reason"),
    [
        ({"replicas": 3}, "''", "'replicas' not allowed"),
        ({"gateway": {"replicas": 2}}, "'/gateway'", "'replicas' not allowed"),
        ({"settings": {"slo": {"latency": 0.3}}}, "'/settings/slo'", "'latency' not allowed"),
        # The chart sets it itself.
        ({"settings": {"gateway": {"port": 9}}}, "'/settings/gateway'", "'port' not allowed"),
        ({"settings": {"slo": {"latency_seconds": "fast"}}}, "'/settings/slo/latency_seconds'", "got string"),
        ({"settings": {"replicas": {"max": 0}}}, "'/settings/replicas/max'", "got 0, want 1"),
        ({"scaling": {"mode": "keda"}}, "'/scaling/mode'", "'keda-metrics-api', 'hpa', 'resizer', 'none'"),
        ({"elasticsearch": {"url": "host:9200"}}, "'/elasticsearch/url'", "'host:9200' does not match"),
        ({"settings": {"replicas": {"ready_path": "r"}}}, "replicas/ready_path'", "'r' does not match"),
        ({"nameOverride": "Shop"}, "'/nameOverride'", "'Shop' does not match"),
        ({"model": {"maxUnavailable": -1}}, "'/model/maxUnavailable'", "got -1, want 0"),
        ({"networkPolicy": {"modelEgress": [{"to": []}]}}, "modelEgress is set", "collectorEgress"),
        ({"elasticsearch": {"setup": {"secret": "a"}}}, "credentials.secret is empty", "writer and reader"),
        ({"prometheus": {"mode": "external"}}, "prometheus.url is empty", "the URL of your Prometheus"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(values: dict[str, Any], place: str, reason: str) -> None:
    sentence = refusal(with_url(values))
    assert place in sentence
    assert reason in sentence


def test_the_url_of_elasticsearch_is_required() -> None:
    assert refusal({}) == (
        "elasticsearch.url is empty: set it to the URL of your Elasticsearch, such as --set"
        " elasticsearch.url=https://elasticsearch.logging:9200"
    )


def test_the_name_of_a_release_must_fit_into_the_names_of_services() -> None:
    assert refusal(with_url({}), release="my.shop") == (
        "the names of Services would begin with my.shop-tidegate: take a name of the release of lower-case"
        " letters, digits and hyphens that begins with a letter, or set fullnameOverride"
    )
    assert template(with_url({"fullnameOverride": "shop"}), release="my.shop").returncode == 0


@pytest.mark.parametrize("mode", ["keda-external", "keda-metrics-api", "hpa"])
def test_a_mode_of_keda_needs_keda(mode: str) -> None:
    values = with_url({"scaling": {"mode": mode}})
    assert refusal(values, apis=[OPERATOR]) == f"scaling.mode is {mode}, {NO_KEDA}"


def test_the_mode_operator_needs_the_prometheus_operator() -> None:
    values = with_url({"prometheus": {"mode": "operator", "url": "http://prometheus:9090"}})
    assert refusal(values, apis=[KEDA]) == (
        "prometheus.mode is operator, but this cluster has no Prometheus Operator (no API"
        " monitoring.coreos.com/v1): install it first, or set prometheus.mode to bundled; without a cluster,"
        " add --api-versions monitoring.coreos.com/v1"
    )


def test_rules_for_other_settings_have_to_be_made() -> None:
    values = {
        "prometheus": {"mode": "operator", "url": "http://prometheus:9090"},
        "settings": {"replicas": {"max": 30}},
    }
    assert refusal(with_url(values), apis=EVERYTHING) == (
        "settings.replicas.max is 30, not the default 6, and prometheus.mode is operator: the alerts and"
        " recorded series depend on it, so run `tidegate setup rules --values YOUR-VALUES.yaml >rules.yaml`"
        " and add -f rules.yaml"
    )
