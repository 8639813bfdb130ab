"""A rule divides by what was counted at the same time: Prometheus evaluates each group at its own times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.rules.rule_files import MODEL_GROUPS, write_rule_files
from tidegate.settings import Settings

pytestmark = pytest.mark.integration
OF = 'job="model",model="m",version="1"'
# Five minutes after the replica has started, 20 rows with each scrape.
ROWS = "0x20 20+20x60"


@pytest.mark.parametrize(
    ("counter", "recorded"),
    [
        ("ml_expected_correct_total", "model:accuracy_expected"),
        ("ml_expected_absolute_error_total", "model:absolute_error_expected"),
    ],
)
def test_rows_that_one_group_has_counted_and_the_other_not_yet_give_no_other_value(
    tmp_path: Path, promtool: Callable[..., None], counter: str, recorded: str
) -> None:
    write_rule_files(Settings(), tmp_path / "rules")
    series = {
        f"{counter}{{{OF}}}": "0x20 15+15x60",
        f'tidegate_predictions_total{{{OF},label="a"}}': ROWS,
    }
    names = [f"{recorded}:{window}" for window in ("5m", "1h")]
    always = [
        f"abs({end}_over_time({name}[15m]) - 0.75)" for name in names for end in ("min", "max")
    ]
    test: dict[str, Any] = {
        "interval": "15s",
        "input_series": [{"series": one, "values": values} for one, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f"{difference} < bool 1e-9",
                "eval_time": "20m",
                "exp_samples": [{"labels": '{model="m",version="1"}', "value": 1}],
            }
            for difference in always
        ],
    }
    whole = {
        "rule_files": ["rules/model.yml"],
        "evaluation_interval": "15s",
        # So a group that reads another finds what that one recorded at its evaluation before.
        "group_eval_order": list(reversed(MODEL_GROUPS)),
        "tests": [test],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(whole))
    promtool("test", "rules", tmp_path / "test.yml")
