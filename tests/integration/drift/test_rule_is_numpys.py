"""PromQL and numpy compute the same PSI from the same counters."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from support.components import unavailable
from tidegate.monitoring.counting.psi import psi
from tidegate.monitoring.counting.reference import smoothed_ratios
from tidegate.observability_files.paths import observability_folder
from tidegate.stack.prometheus import PrometheusError, promtool_binary

pytestmark = pytest.mark.integration

OF = 'job="model",model="m",version="1"'


@pytest.mark.parametrize("seed", range(3))
def test_the_rules_compute_the_same_psi_as_the_library(seed: int, tmp_path: Path) -> None:
    try:
        promtool = promtool_binary()
    except PrometheusError as error:
        unavailable(str(error))
    random = np.random.default_rng(seed)
    series: list[dict[str, str]] = []
    checks: list[dict[str, Any]] = []
    for name, size in (("x", 13), ("y", 5), ("z", 22)):
        feature = f'{OF},feature="{name}"'
        reference = random.integers(0, 5000, size)
        increases = random.integers(0, 40, size)  # in 15 s; 20 times that in five minutes
        for index, (ratio, step) in enumerate(
            zip(smoothed_ratios(reference).tolist(), increases.tolist(), strict=True)
        ):
            bin_ = f'{feature},bin="{index}"'
            counter = f"ml_feature_observations_total{{{bin_}}}"
            series.append({"series": counter, "values": f"0+{step}x60"})
            gauge = f"ml_feature_reference_ratio{{{bin_}}}"
            series.append({"series": gauge, "values": f"{ratio!r}x60"})
        expected = psi(increases * 20, reference)
        query = f'sum(model:feature_psi:5m{{feature="{name}"}})'
        checks.append(
            {
                "expr": f"abs({query} - {expected!r}) < bool 1e-9",
                "eval_time": "10m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
        )
    rules = observability_folder() / "prometheus" / "rules" / "model.yml"
    groups = [group["name"] for group in yaml.safe_load(rules.read_text())["groups"]]
    test = {"interval": "15s", "input_series": series, "promql_expr_test": checks}
    file = tmp_path / "test.yml"
    content = {
        "rule_files": [str(rules)],
        "evaluation_interval": "15s",
        "group_eval_order": groups,
        "tests": [test],
    }
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run(
        [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
