"""A served model predicts as the original does, also where a value lies on the threshold of a tree.

With TIDEGATE_NIGHTLY=1 each model is compared on a million rows at ties, in three minutes on 2 cores.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pandas as pd
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from tidegate.service.artefacts import admission, ties
from tidegate.service.artefacts.formats.sklearn_joblib import describe
from tidegate.service.artefacts.import_model import import_model, main
from tidegate.service.artefacts.import_report import served_by
from tidegate.service.artefacts.original import predict
from tidegate.service.model.artefact import Artefact, load
from tidegate.service.model.features import Feature
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.predictions import Classification
from tidegate.service.model.tensor_spec import Tensor

RANDOM = np.random.default_rng(3)
ROWS = 900
FRAME = pd.DataFrame(
    {
        "age": RANDOM.integers(18, 80, ROWS),
        "fare": RANDOM.gamma(2, 20, ROWS).round(1),
        "stops": RANDOM.integers(1, 4, ROWS),
        "city": RANDOM.choice(["Kyiv", "Lviv", "Odesa"], ROWS),
    }
)
NUMBERS = ["age", "fare", "stops"]
VALUE = FRAME.age * 0.7 + FRAME.fare - 20 * FRAME.stops + RANDOM.normal(0, 10, ROWS)
LABEL = np.where(VALUE.median() < VALUE, "late", "on_time")
HOLES = FRAME.assign(age=FRAME.age.astype(float).mask(RANDOM.random(ROWS) < 0.1))
TIES = 1_000_000 if os.environ.get("TIDEGATE_NIGHTLY") else 5_000
BLOCK = 50_000


def prepared(*steps: Any) -> Any:
    """Scaled numbers and encoded strings, then an estimator."""
    scaled = make_pipeline(*steps[:-1])
    columns = [("numbers", scaled, NUMBERS), ("city", OneHotEncoder(), ["city"])]
    return make_pipeline(ColumnTransformer(columns), steps[-1])


def imported(folder: Path, model: Any, rows: pd.DataFrame | None = None) -> Artefact:
    joblib.dump(model, folder / "m.joblib")
    if rows is not None:
        rows.to_csv(folder / "m.csv", index=False)
    import_model(folder / "m.joblib", folder / "out")
    return load(folder / "out")


def rows_at_ties(count: int, seed: int = 0) -> pd.DataFrame:
    """Values of the rows, halves between them and the neighbours of both."""
    random = np.random.default_rng(seed)

    def near(column: str) -> Any:
        known = FRAME[column].to_numpy(np.float64)
        value = (random.choice(known, count) + random.choice(known, count)) / 2
        value = np.where(random.random(count) < 0.5, value.round(1), value)
        step = random.integers(-1, 2, count)
        return np.where(step == 0, value, np.nextafter(value, np.where(step < 0, -np.inf, np.inf)))

    table = pd.DataFrame({name: near(name) for name in NUMBERS})
    return table.assign(city=random.choice(["Kyiv", "Lviv", "Odesa"], count))


def largest_difference(found: Artefact, model: Any) -> float:
    """Between a replica's answers and the original's: of a probability, or a value by its spread."""
    predictor, _ = open_predictor(found)
    names = list(model.feature_names_in_)
    largest = 0.0
    for seed in range(-(-TIES // BLOCK)):
        table = rows_at_ties(min(TIES, BLOCK), seed)[names]
        tensors = [tensor_of(name, table[name]) for name in names]
        answered = predictor.predict(predictor.inputs.read_tensors(tensors))
        if isinstance(answered, Classification):
            difference = np.abs(answered.probabilities - model.predict_proba(table))
        else:
            difference = np.abs(answered - model.predict(table)) / VALUE.std()
        largest = max(largest, float(difference.max()))
    return largest


def tensor_of(name: str, column: Any) -> Tensor:
    datatype = "FP64" if name in NUMBERS else "BYTES"
    return Tensor(name, datatype, (len(column),), column.tolist())


FORESTS: dict[str, Callable[[], Any]] = {
    "issue": lambda: prepared(StandardScaler(), RandomForestClassifier(30, random_state=0)),
    "min-max": lambda: prepared(MinMaxScaler(), RandomForestRegressor(30, random_state=0)),
    "imputed": lambda: prepared(
        SimpleImputer(), StandardScaler(), GradientBoostingClassifier(n_estimators=30)
    ),
    "extra": lambda: prepared(StandardScaler(), ExtraTreesClassifier(30, random_state=0)),
    "plain": lambda: RandomForestRegressor(30, random_state=0),
    "hist": lambda: HistGradientBoostingClassifier(max_iter=30),
    "hist values": lambda: make_pipeline(
        StandardScaler(), HistGradientBoostingRegressor(max_iter=30)
    ),
    "lightgbm": lambda: LGBMRegressor(n_estimators=30, verbose=-1),
    "lightgbm step": lambda: prepared(
        StandardScaler(), LGBMClassifier(n_estimators=30, verbose=-1)
    ),
    "blend": lambda: make_pipeline(
        StandardScaler(),
        VotingRegressor([("rf", RandomForestRegressor(30)), ("line", LinearRegression())]),
    ),
    "xgboost": lambda: XGBRegressor(n_estimators=30),
    "xgboost step": lambda: prepared(StandardScaler(), XGBClassifier(n_estimators=30)),
}


@pytest.mark.parametrize("name", FORESTS)
def test_a_graph_takes_the_branch_of_the_original_at_every_tie(tmp_path: Path, name: str) -> None:
    model = FORESTS[name]()
    is_prepared = isinstance(model, Pipeline) and isinstance(model[0], ColumnTransformer)
    columns = [*NUMBERS, "city"] if is_prepared else NUMBERS
    is_value = name in {"min-max", "plain", "hist values", "lightgbm", "blend", "xgboost"}
    truth = VALUE if is_value else (np.where(LABEL == "late", 1, 0) if "xg" in name else LABEL)
    model.fit(FRAME[columns], truth)
    found = imported(tmp_path, model)
    assert found.manifest.runtime == "onnx"
    assert found.manifest.parity["ties"] > 100
    assert largest_difference(found, model) < 1e-5


def test_what_no_graph_predicts_is_served_by_the_original(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_pipeline(StandardScaler(), KNeighborsClassifier()).fit(FRAME[NUMBERS], LABEL)
    joblib.dump(model, tmp_path / "m.joblib")
    assert main([str(tmp_path / "m.joblib"), str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    assert "served by the original in Python" in text
    assert " ms for a row" in text
    assert "predicts differently" in text
    found = load(tmp_path / "out")
    assert (found.manifest.runtime, "model.onnx" in found.manifest.files) == ("original", False)
    assert largest_difference(found, model) < 1e-6
    assert admission.main([str(tmp_path / "out"), str(tmp_path / "copies")]) == 0
    assert orjson.loads(capsys.readouterr().out)["served_by"] == served_by(found.manifest.parity)
    predictor, _ = open_predictor(found)
    rows = predictor.inputs.read(FRAME[NUMBERS].to_dict("records"))
    np.testing.assert_array_equal(
        np.array(found.manifest.classes)[predictor.predict(rows).labels],
        model.predict(FRAME[NUMBERS]),
    )


def test_a_forest_that_learned_missing_values_is_served_by_the_original_and_takes_them(
    tmp_path: Path,
) -> None:
    model = RandomForestRegressor(10, random_state=0).fit(HOLES[NUMBERS], VALUE)
    found = imported(tmp_path, model, HOLES[NUMBERS])
    assert found.manifest.runtime == "original"
    predictor, _ = open_predictor(found)
    answers = predictor.predict(predictor.inputs.read([{"age": None, "fare": 7.1, "stops": 2}]))
    row = pd.DataFrame({"age": [np.nan], "fare": [7.1], "stops": [2]})
    np.testing.assert_allclose(answers, model.predict(row))


def test_values_are_compared_on_both_sides_of_each_jump() -> None:
    model = RandomForestClassifier(5, random_state=0).fit(FRAME[NUMBERS], LABEL)
    source = describe(model)
    features = source.signature.features

    def answers(each: Any) -> Any:
        return predict(source, features, each, {}).probabilities  # type: ignore[union-attr]

    rows = ties.rows_at_ties(answers, features, FRAME[NUMBERS].to_numpy(np.float64)[:50], 1e-4)
    thresholds = np.concatenate([tree.tree_.threshold for tree in model.estimators_])
    on = np.isin(rows[:, 0], thresholds)
    assert on.sum() > 100
    assert np.isin(np.nextafter(np.float32(rows[on, 0]), np.float32(np.inf)), rows[:, 0]).sum() > 30


@pytest.mark.parametrize(("seconds", "rows"), [(1e-6, 500), (1e-4, 156), (1.0, 20)])
def test_a_slow_model_is_asked_for_fewer_rows(
    monkeypatch: pytest.MonkeyPatch, seconds: float, rows: int
) -> None:
    asked: list[int] = []

    def answers(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        asked.append(len(matrix))
        return np.zeros((len(matrix), 1))

    monkeypatch.setattr(ties, "repeat", lambda *_, **__: [seconds * ties.MEASURED_ROWS])
    ties.rows_at_ties(answers, [Feature(name="x")], np.zeros((200, 1)), 1e-4)
    assert set(asked) == {rows}
