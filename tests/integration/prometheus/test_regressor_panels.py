"""Each query of the dashboard section about regressors has data of a regressor, and none of a classifier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.grafana_dashboards import dashboards, fill, section
from support.processes.prometheus_release import Release
from tidegate.observability_files.paths import observability_folder
from tidegate.rules.rule_files import MODEL_GROUPS
from tools.generate.promtool.case_types import STEADY
from tools.generate.promtool.error_recording_cases import classifier_labels, regressor_labels

pytestmark = pytest.mark.integration

EXPRESSIONS = sorted(
    {
        query["expr"]
        for panel in section(dashboards()["model"], "Regressors")
        for query in panel["targets"]
    }
)


def predictions(model: str) -> dict[str, str]:
    """Predicted values, or labels, in two bins."""
    of = f'job="model",model="{model}",version="1"'
    return {
        f'tidegate_predictions_total{{{of},label="0"}}': f"0+6{STEADY}",
        f'tidegate_predictions_total{{{of},label="1"}}': f"0+4{STEADY}",
        f'ml_prediction_reference_ratio{{{of},label="0"}}': f"0.5{STEADY}",
        f'ml_prediction_reference_ratio{{{of},label="1"}}': f"0.5{STEADY}",
    }


@pytest.mark.parametrize("release", ["in use"], indirect=True)
def test_the_queries_select_regressors(release: Release, tmp_path: Path) -> None:
    assert len(EXPRESSIONS) >= 12
    regressor, classifier = ({**regressor_labels(), **predictions("r")}, {**predictions("c")})
    tests = [
        case({**regressor, **classifier, **classifier_labels()}, 'model="c"', count=False),
        case({**regressor, **classifier, **classifier_labels()}, "", count=True),
        case({**classifier, **classifier_labels()}, "", count=False),
    ]
    content = {
        "rule_files": [str(observability_folder() / "prometheus" / "rules" / "model.yml")],
        "evaluation_interval": "1m",
        "group_eval_order": list(MODEL_GROUPS),
        "tests": tests,
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps(content))  # JSON is valid YAML, and faster to write
    release.check("test", "rules", str(file), cwd=tmp_path)


def case(series: Mapping[str, str], matcher: str, *, count: bool) -> dict[str, object]:
    """A test in which each query has results with these labels, or none has."""
    checks = []
    for expression in EXPRESSIONS:
        for window in ("5m", "1h", "1d"):
            text = fill(expression, {"window": window, "__rate_interval": "1m"})
            some = [{"labels": "{}", "value": 1}] if count else []
            # Sums over `inside` have no label of the model; no classifier has that label.
            query = f"({text}) and on (model, version) up{{{matcher}}}" if matcher else text
            checks.append(
                {"expr": f"count({query}) > bool 0", "eval_time": "10m", "exp_samples": some}
            )
    known = {f'up{{{matcher},version="1"}}': f"1{STEADY}"} if matcher else {}
    return {
        "interval": "2s",
        "input_series": [
            {"series": name, "values": values} for name, values in {**series, **known}.items()
        ],
        "promql_expr_test": checks,
    }
