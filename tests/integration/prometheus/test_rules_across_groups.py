"""A rule that divides by what another group records: the two are evaluated at different times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.rules.rule_files import model_groups
from tidegate.settings import Settings

pytestmark = pytest.mark.integration
MODEL = '{model="m",version="1"}'
EXPECTED = {
    "model:accuracy_expected:5m": "model:expected_correct:5m",
    "model:absolute_error_expected:5m": "model:expected_absolute_error_sum:5m",
}


@pytest.mark.parametrize("recorded", EXPECTED)
@pytest.mark.parametrize(("rows", "value"), [(4, 0.75), (0, None)])
def test_rows_that_one_group_has_counted_and_the_other_not_yet_give_no_value(
    tmp_path: Path, promtool: Callable[..., None], recorded: str, rows: int, value: float | None
) -> None:
    (rule,) = (
        recording
        for group in model_groups(Settings().drift)
        for recording in group.recordings
        if recording.name == recorded
    )
    rules = {"groups": [{"name": "g", "rules": [{"record": recorded, "expr": rule.expression}]}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    samples = [] if value is None else [{"labels": f"{recorded}{MODEL}", "value": value}]
    test: dict[str, Any] = {
        "interval": "15s",
        "input_series": [
            {"series": f"{EXPECTED[recorded]}{MODEL}", "values": "3 3"},
            {"series": f"model:prediction_samples:5m{MODEL}", "values": f"{rows} {rows}"},
        ],
        "promql_expr_test": [{"expr": recorded, "eval_time": "15s", "exp_samples": samples}],
    }
    whole = {"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": [test]}
    (tmp_path / "test.yml").write_text(yaml.safe_dump(whole))
    promtool("test", "rules", tmp_path / "test.yml")
