"""Every kind of model in a whole stack: served under load, counted for drift, labelled, and reported on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression

from support.components import AT_NIGHT, IN_CI
from support.eventually import eventually
from support.processes.load import constant
from support.processes.running_stack import Stack, running

# Each case is a stack of its own; plain `make test` has the tutorial own-model.md and examples/regressor.
pytestmark = [pytest.mark.e2e, IN_CI]

NAMES = ["a", "b", "c", "d"]
LABELLED = 60
PREDICTOR = f"""
from pathlib import Path


class Sum:
    name = "sum"
    task = "regression"
    target = "y"
    features = [{{"name": name}} for name in {NAMES!r}]
    reference = str(Path(__file__).with_name("reference.json"))

    def predict(self, rows):
        return [sum(row[name] for name in {NAMES!r}) for row in rows]
"""


def rows() -> pd.DataFrame:
    """Rows, the sum of each with noise, and whether it is positive."""
    random = np.random.default_rng(3)
    table = pd.DataFrame(random.normal(size=(600, len(NAMES))).round(4), columns=NAMES)
    value = table.sum(axis=1) + random.normal(scale=0.3, size=len(table))
    return table.assign(value=value.round(4), positive=(value > 0).astype(int))


def beside(model: Path, table: pd.DataFrame, target: str) -> Path:
    """Write the rows that the model has not seen beside it, with their labels."""
    table[300:].rename(columns={target: "target"})[[*NAMES, "target"]].to_csv(
        model.with_suffix(".csv"), index=False
    )
    return model


def scikit_learn(folder: Path, table: pd.DataFrame) -> str:
    model = RandomForestRegressor(20, min_samples_leaf=5, random_state=0)
    model.fit(table[NAMES][:300], table["value"][:300])
    joblib.dump(model, folder / "model.joblib")
    return str(beside(folder / "model.joblib", table, "value"))


def onnx(folder: Path, table: pd.DataFrame) -> str:
    model = LogisticRegression().fit(table[NAMES][:300].to_numpy(), table["positive"][:300])
    graph = to_onnx(
        model,
        table[NAMES].to_numpy(np.float32)[:1],
        options={id(model): {"zipmap": False}},
    )
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    lines = [f'[[features]]\nname = "{name}"\n' for name in NAMES]
    (folder / "model.toml").write_text("\n".join(lines))
    return str(beside(folder / "model.onnx", table, "positive"))


def lightgbm_booster(folder: Path, table: pd.DataFrame) -> str:
    data = lightgbm.Dataset(table[NAMES][:300], table["value"][:300])
    booster = lightgbm.train({"objective": "regression", "verbosity": -1}, data, 20)
    booster.save_model(folder / "model.txt")
    return str(beside(folder / "model.txt", table, "value"))


def xgboost_booster(folder: Path, table: pd.DataFrame) -> str:
    data = xgboost.DMatrix(table[NAMES][:300], table["positive"][:300])
    xgboost.train({"objective": "binary:logistic"}, data, 20).save_model(folder / "model.json")
    return str(beside(folder / "model.json", table, "positive"))


def python(folder: Path, table: pd.DataFrame) -> str:
    (folder / "predictors.py").write_text(PREDICTOR)
    predicted = table.assign(predicted=table[NAMES].sum(axis=1))
    predicted.to_csv(folder / "past.csv", index=False)
    subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "tidegate",
                "reference",
                "past.csv",
                "--prediction",
                "predicted",
            ),
            *("--truth", "value", "--features", ",".join(NAMES), "--out", "reference.json"),
        ],
        cwd=folder,
        check=True,
    )
    return "predictors:Sum"


KINDS: dict[str, tuple[Callable[[Path, pd.DataFrame], str], str]] = {
    "scikit-learn": (scikit_learn, "value"),
    "onnx": (onnx, "positive"),
    "lightgbm": (lightgbm_booster, "value"),
    "xgboost": (xgboost_booster, "positive"),
    "python": (python, "value"),
}


def command(stack: Stack, *arguments: str) -> str:
    done = stack.run(*arguments)
    # 98: requests were sent late. On a busy machine this is no fault of the stack.
    assert done.returncode in {0, 98}, done.stdout + done.stderr
    return done.stdout


# The examples, which CI runs, serve others; tests/unit/service/artefacts/formats has each.
EACH_TIME = ("python",)


@pytest.mark.parametrize(
    "kind", [kind if kind in EACH_TIME else pytest.param(kind, marks=AT_NIGHT) for kind in KINDS]
)
def test_it_is_served_watched_and_reported(kind: str, tmp_path: Path) -> None:
    write, target = KINDS[kind]
    table = rows()
    path = write(tmp_path, table)
    table[NAMES].to_json(tmp_path / "rows.ndjson", orient="records", lines=True)
    settings: dict[str, dict[str, Any]] = {
        "service": {"app_dir": str(tmp_path)},
        "replicas": {"start": 1, "max": 2},
    }
    stack: Stack
    with running(tmp_path, Path(path), **settings) as stack:
        sent = ("--rows", str(tmp_path / "rows.ndjson"))
        with stack.load(tmp_path, *sent, phases=constant(5, 10)) as load:
            summary = load.summary()
        assert (summary["answered"], summary["failed"]) == (50, 0)

        labelled = table[300 : 300 + LABELLED]
        body = json.dumps({"instances": labelled[NAMES].to_dict("records")}).encode()
        predictions = stack.send("/predict", body).body["predictions"]
        outcomes = [
            {"prediction_id": prediction["prediction_id"], "label": label}
            for prediction, label in zip(predictions, labelled[target].tolist(), strict=True)
        ]
        answer = stack.send("/feedback", json.dumps({"outcomes": outcomes}).encode())
        assert answer.body == {"accepted": LABELLED, "refused": 0, "detail": []}

        for metric, least in (
            ('sum(ml_feature_observations_total{feature="a"})', LABELLED + 50),
            ("sum(tidegate_predictions_total)", LABELLED + 50),
            ("sum(ml_label_lag_seconds_count)", LABELLED),
        ):
            eventually(
                lambda metric=metric, least=least: any(  # type: ignore[misc]
                    float(sample["value"][1]) >= least for sample in stack.query(metric)
                ),
                f"{metric} is at least {least}",
            )
        eventually(
            lambda: stack.search("event.dataset:tidegate.outcome").total == LABELLED,
            "each label has an event",
        )
        out = tmp_path / "report.html"
        said = command(stack, "tidegate", "monitor", "report", "--since", "1h", "--out", str(out))
        assert f"{LABELLED} labels" in said
        assert out.stat().st_size > 10_000
