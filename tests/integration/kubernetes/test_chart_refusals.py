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
        ({"gateway": None}, "''", "missing property 'gateway'"),
        ({"gateway": {"preStopSeconds": None}}, "'/gateway'", "missing property 'preStopSeconds'"),
        ({"model": {"image": {"repository": ""}}}, "'/model/image/repository'", "'' does not match"),
        ({"model": {"image": {"repository": "r:5000/a:4"}}}, "repository'", "'r:5000/a:4' does not match"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(values: dict[str, Any], place: str, reason: str) -> None:
    sentence = refusal(with_url(values))
    assert place in sentence
    assert reason in sentence


OPERATED = {"mode": "operator", "url": "http://prometheus:9090"}


@pytest.mark.parametrize(
    ("values", "found", "said"),
    [
        ({"elasticsearch": {"url": ""}}, {}, "elasticsearch.url is empty: set it to the URL of your"),
        ({}, {"release": "my.shop"}, "the names of Services would begin with my.shop-tidegate: take"),
        *(
            ({"scaling": {"mode": mode}}, {"apis": [OPERATOR]}, f"scaling.mode is {mode}, {NO_KEDA}")
            for mode in ("keda-external", "keda-metrics-api", "hpa")
        ),
        ({"prometheus": OPERATED}, {"apis": [KEDA]}, "prometheus.mode is operator, but this cluster has no"),
        # The rules depend on other settings than the chart's own rules are for.
        (
            {"prometheus": OPERATED, "settings": {"replicas": {"max": 30}}},
            {"apis": EVERYTHING},
            "settings.replicas.max is 30, not the default 6, and prometheus.mode is operator: the alerts and",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_installed_is_refused_with_what_to_do(
    values: dict[str, Any], found: dict[str, Any], said: str
) -> None:
    assert refusal(with_url(values), **found).startswith(said)


def test_another_name_makes_a_release_installable() -> None:
    assert template(with_url({"fullnameOverride": "shop"}), release="my.shop").returncode == 0
