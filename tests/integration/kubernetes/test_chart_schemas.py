"""Every object against the schema of the oldest Kubernetes that the chart takes.

test_chart_on_a_server.py has the newest, and the objects of KEDA and of the Prometheus Operator.
"""

from __future__ import annotations

import json

import kubernetes_validate
import yaml

from support.kubernetes.chart import CHART, TABLE, render

CUSTOM = {"ScaledObject", "PodMonitor", "PrometheusRule"}


def test_every_object_conforms_to_kubernetes() -> None:
    required = yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"]
    oldest = str(required.removeprefix(">=").removesuffix(".0-0"))
    different = {json.dumps(one) for values in TABLE.values() for one in render(values)}
    for one in map(json.loads, sorted(different)):
        if one["kind"] not in CUSTOM:
            assert kubernetes_validate.validate(one, oldest, strict=True) == oldest
