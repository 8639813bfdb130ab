"""scikit-learn's models: they predict the same, or are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import orjson
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_wine, make_regression
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Perceptron, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVR
from sklearn.tree import DecisionTreeClassifier

from support.samples.onnx_graphs import values_of
from tidegate.monitoring.counting.reference import load_reference
from tidegate.service.model.artefact import REFERENCE, SAMPLES, ArtefactError
from tidegate.service.model.features import Schema
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.request_errors import RequestError

ROWS, VALUES = make_regression(200, 4, noise=5, random_state=0)
COUNTS = np.abs(VALUES) / 50


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        SVR(),
        RandomForestRegressor(5, random_state=0),
        HistGradientBoostingRegressor(max_iter=5, random_state=0),
        StackingRegressor([("ridge", Ridge())]),
        GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}),
        make_pipeline(SimpleImputer(), StandardScaler(), Ridge()),
        LogisticRegression(),
        RandomForestClassifier(20, random_state=0),
        HistGradientBoostingClassifier(max_iter=5, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_it_predicts_the_same(imported: Any, model: Any) -> None:
    classifies = is_classifier(model)
    model.fit(ROWS, np.where(VALUES > 0, "high", "low") if classifies else COUNTS)
    found = imported("m.joblib", model)
    assert found.manifest.task == ("classification" if classifies else "regression")
    assert found.manifest.classes == (("high", "low") if classifies else ())
    other = np.random.default_rng(5).normal(size=(50, 4)).astype(np.float32)
    expected = model.predict_proba(other) if classifies else model.predict(other)
    np.testing.assert_allclose(values_of(found, other), expected, rtol=0, atol=2e-4)


def test_a_model_that_always_predicts_the_same_is_compared_by_its_value(imported: Any) -> None:
    model = make_pipeline(StandardScaler(), Lasso(alpha=1e6)).fit(ROWS, VALUES + 1000)
    found = imported("constant.joblib", model)
    assert values_of(found, ROWS)[0] == pytest.approx(VALUES.mean() + 1000, rel=1e-6)


def test_rows_give_the_quality_by_the_column_that_the_schema_names(imported: Any) -> None:
    # A threshold of these trees is the value of a training row, which float32 rounds to the other side.
    model = HistGradientBoostingRegressor(max_iter=20, random_state=0).fit(ROWS, VALUES)
    table = pd.DataFrame(ROWS, columns=["f0", "f1", "f2", "f3"]).assign(price=VALUES, target=0)
    schema = '[target]\nname = "price"\nunit = "EUR"\n'
    found = imported("price.joblib", model, rows=table.to_csv(index=False), schema=schema)
    assert (found.manifest.target.name, found.manifest.target.unit) == ("price", "EUR")
    assert found.manifest.parity["rows_apart"] == 0
    held_out = found.manifest.metrics["held_out"]
    errors = np.abs(model.predict(ROWS) - VALUES)
    assert held_out["mae"] == pytest.approx(errors.mean(), rel=0.05)
    reference = load_reference(found.path / REFERENCE)
    assert reference.prediction is not None
    assert sum(reference.prediction.counts) == 200
    assert reference.residuals is not None
    assert reference.residuals.samples == 200


def test_names_classes_and_samples_are_those_of_a_table(imported: Any) -> None:
    data = load_wine(as_frame=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(data.data, data.target_names[data.target])
    found = imported("wine.joblib", model)
    assert (found.manifest.name, found.manifest.features[0].name) == ("wine", "alcohol")
    assert found.manifest.classes == ("class_0", "class_1", "class_2")
    rows = data.data[::20].astype(np.float32)
    np.testing.assert_allclose(values_of(found, rows), model.predict_proba(rows), rtol=0, atol=1e-4)
    schema = Schema(found.manifest.features)
    lines = (found.path / SAMPLES).read_bytes().splitlines()
    matrix = schema.encode([orjson.loads(line) for line in lines])
    assert matrix.shape == (500, 13)
    # Synthetic rows are around the scaler's means; alcohol is 11 to 15 in the data.
    assert 12.5 < matrix[:, 0].mean() < 13.5
    example = {feature.name: feature.example for feature in found.manifest.features}
    assert schema.encode([example]).shape == (1, 13)


@pytest.mark.parametrize(
    "within",
    [
        lambda model: model,
        lambda model: GridSearchCV(model, {"logisticregression__C": [1.0]}),
        lambda model: VotingClassifier([("one", model)], voting="soft", flatten_transform=False),
    ],
    ids=["itself", "best_estimator_", "estimators_"],
)
def test_strings_of_a_table_become_categories_and_its_rows_a_reference(
    imported: Any, within: Callable[[Any], Any]
) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "city": random.choice(["Lima", "Oslo", "Rome"], 300),
            "size": random.normal(50, 10, 300),
            "rooms": random.integers(1, 6, 300),
        }
    )
    price = np.where((table["size"] > 50) ^ (table["city"] == "Oslo"), "dear", "cheap")
    encode = ColumnTransformer(
        [
            ("texts", OneHotEncoder(handle_unknown="ignore"), ["city"]),
            ("numbers", StandardScaler(), ["size", "rooms"]),
        ]
    )
    model = within(make_pipeline(encode, LogisticRegression())).fit(table, price)
    found = imported("houses.joblib", model, rows=table.assign(price=1).to_csv(index=False))
    city, _, rooms = found.manifest.features
    assert found.manifest.input == "columns"
    assert (city.kind, city.categories) == ("category", ("Lima", "Oslo", "Rome"))
    assert rooms.observed == (1.0, 5.0)
    assert found.manifest.parity["real_rows"]
    matrix = Schema(found.manifest.features).encode(table.head(20).to_dict("records"))
    expected = model.predict_proba(table.head(20))
    np.testing.assert_allclose(values_of(found, matrix), expected, rtol=0, atol=1e-5)
    reference = load_reference(found.path / REFERENCE)
    assert [sum(feature.counts) for feature in reference.features] == [300] * 3


@pytest.mark.parametrize("columns", [["stops"], [0], slice(0, 1), [True, False]], ids=str)
def test_an_encoder_that_refuses_other_numbers_is_tried_with_those_that_it_learned(
    imported: Any, columns: Any
) -> None:
    table = pd.DataFrame({"stops": [1, 2, 4, 7] * 50, "fare": ROWS[:, 0]})
    encode = ColumnTransformer([("stops", OneHotEncoder(), columns)], remainder="passthrough")
    model = make_pipeline(encode, RandomForestRegressor(5)).fit(table, VALUES)
    found = imported("stops.joblib", model)
    predictor, _ = open_predictor(found)
    answers = predictor.predict(predictor.inputs.read(table.to_dict("records")))
    np.testing.assert_allclose(answers, model.predict(table), rtol=1e-5)
    stops = found.manifest.features[0]
    assert (stops.minimum, stops.maximum) == (1, 7)


def test_a_gaussian_process_keeps_its_precision_at_the_rows_of_training(imported: Any) -> None:
    rows = np.round(ROWS[:, :2] * 20)
    model = make_pipeline(StandardScaler(), GaussianProcessRegressor(optimizer=None))
    model.fit(rows, VALUES)
    found = imported("process.joblib", model)
    predictor, _ = open_predictor(found)
    answers = predictor.predict(predictor.inputs.read(as_rows(rows)))
    np.testing.assert_allclose(answers, model.predict(rows), atol=VALUES.std() * 1e-4)


def test_boosting_that_separates_missing_values_is_served(imported: Any) -> None:
    rows = np.where(ROWS > 0, np.nan, 1.0)
    model = HistGradientBoostingClassifier(max_iter=3).fit(rows, ROWS[:, 0] > 0)
    found = imported("holes.joblib", model)
    predictor, _ = open_predictor(found)
    answers = predictor.predict(predictor.inputs.read(as_rows(rows)))
    np.testing.assert_allclose(answers.probabilities, model.predict_proba(rows), atol=1e-6)


def as_rows(matrix: Any) -> list[dict[str, float | None]]:
    return [
        {f"f{i}": None if np.isnan(value) else value for i, value in enumerate(row)}
        for row in matrix.tolist()
    ]


def test_categories_that_boosting_learned_of_a_table_are_strings(imported: Any) -> None:
    table = pd.DataFrame({"size": ROWS[:, 0], "city": pd.Categorical(["Oslo", "Lima"] * 100)})
    dear = (ROWS[:, 0] > 0) ^ (table["city"] == "Oslo")
    model = HistGradientBoostingClassifier(max_iter=5).fit(table, dear)
    found = imported("houses.joblib", model)
    assert found.manifest.features[1].categories == ("Lima", "Oslo")
    predictor, _ = open_predictor(found)
    answers = predictor.predict(predictor.inputs.read(table.to_dict("records")))
    np.testing.assert_allclose(answers.probabilities, model.predict_proba(table), atol=1e-6)


def test_synthetic_rows_of_a_tree_are_around_its_thresholds(imported: Any) -> None:
    data = load_wine()
    found = imported("tree.joblib", DecisionTreeClassifier().fit(data.data, data.target))
    lines = (found.path / SAMPLES).read_bytes().splitlines()
    proline = [orjson.loads(line)["f12"] for line in lines]
    assert 300 < min(proline) < max(proline) < 1500


def test_a_model_of_another_scikit_learn_is_refused_with_a_remedy(
    imported: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as older:
        older.setattr("sklearn.base.__version__", "1.5.0")
        joblib.dump(DecisionTreeClassifier().fit([[0], [1]], [0, 1]), tmp_path / "saved")
    with pytest.raises(ArtefactError, match=r"saved by scikit-learn 1\.5\.0, here is"):
        imported("old.joblib", (tmp_path / "saved").read_bytes())


def test_a_model_that_imputes_accepts_missing_values(imported: Any) -> None:
    holes = ROWS.copy()
    holes[::7, 1] = np.nan
    imputing = make_pipeline(SimpleImputer(), Ridge()).fit(holes, VALUES)
    found = imported("imputing.joblib", imputing)
    assert all(feature.missing for feature in found.manifest.features)
    expected = imputing.predict(holes.astype(np.float32))
    np.testing.assert_allclose(values_of(found, holes), expected, rtol=0, atol=1e-2)


def test_the_schema_forbids_missing_values(imported: Any) -> None:
    model = HistGradientBoostingClassifier(max_iter=3).fit(ROWS, VALUES > 0)
    schema = "".join(
        f'[[features]]\nname = "f{i}"\nmissing = {str(i > 0).lower()}\n' for i in range(4)
    )
    found = imported("high.joblib", model, schema=schema)
    assert [feature.missing for feature in found.manifest.features] == [False, True, True, True]


@pytest.mark.parametrize(
    ("model", "schema", "message"),
    [
        (LinearRegression().fit(ROWS, ROWS[:, :2]), "", "predicts 2 values per row"),
        (RandomForestClassifier(2).fit(ROWS, ROWS[:, :2] > 0), "", "predicts 2 values per row"),
        (
            Ridge(),
            'task = "classification"\n',
            "`task` is classification; the model's is regression",
        ),
        (Perceptron(), "", "wrapped in CalibratedClassifierCV; a class"),
        (DecisionTreeClassifier().fit([[1], [2]], [0, 0]), "", "was fitted on rows of one class"),
        (Ridge(), 'classes = ["low", "high"]\n', "`classes` has 2 names; the model has 0 classes"),
    ],
)
def test_what_cannot_be_served_is_refused(
    imported: Any, model: Any, schema: str, message: str
) -> None:
    if not hasattr(model, "n_features_in_"):
        model.fit(ROWS, VALUES > 0 if is_classifier(model) else COUNTS)
    with pytest.raises(ArtefactError, match=message):
        imported("m.joblib", model, schema=schema)


def test_what_cannot_be_converted_is_served_by_the_original(imported: Any) -> None:
    model = TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1)
    found = imported("m.joblib", model.fit(ROWS, COUNTS))
    assert "TransformedTargetRegressor cannot be converted" in found.manifest.parity["reason"]
    predictor, _ = open_predictor(found)
    rows = [{f"f{i}": value for i, value in enumerate(row)} for row in ROWS.tolist()]
    answers = predictor.predict(predictor.inputs.read(rows))
    np.testing.assert_array_equal(answers, model.predict(ROWS))


def test_texts_are_features_of_their_own_kind(imported: Any) -> None:
    notes = ["late parcel", "fine thanks", "broken glass", "où est mon colis"] * 5
    labels = ["bad", "good", "bad", "bad"] * 5
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(notes, labels)
    found = imported("note.joblib", model)
    (feature,) = found.manifest.features
    assert (feature.name, feature.kind, found.manifest.runtime) == ("text", "text", "original")
    predictor, _ = open_predictor(found)
    answers = predictor.predict(predictor.inputs.read([{"text": note} for note in notes[:4]]))
    np.testing.assert_allclose(answers.probabilities, model.predict_proba(notes[:4]), rtol=1e-6)
    with pytest.raises(RequestError, match="string_type"):
        predictor.inputs.read([{"text": 3}])


def test_a_text_beside_numbers_is_counted_by_its_length(imported: Any) -> None:
    table = pd.DataFrame({"note": ["late", "fine thanks"] * 20, "age": range(40), "id": "x"})
    columns = [("note", TfidfVectorizer(), "note"), ("age", StandardScaler(), ["age"])]
    model = make_pipeline(ColumnTransformer(columns), Ridge()).fit(table, table.age * 2.0)
    found = imported("m.joblib", model, rows=table.to_csv(index=False))
    note, age = found.manifest.features
    assert (note.kind, age.kind, note.example) == ("text", "number", "late")
    reference = load_reference(found.path / REFERENCE)
    assert reference.features[0].kind == "integer"
    predictor, _ = open_predictor(found)
    batch = predictor.inputs.read([{"note": "late again", "age": 7}])
    assert predictor.inputs.matrix(batch).tolist() == [[10.0, 7.0]]
    expected = model.predict(pd.DataFrame({"note": ["late again"], "age": [7]}))
    np.testing.assert_allclose(predictor.predict(batch), expected)


class Doubled(LinearRegression):  # type: ignore[misc]
    """A model in a module that is removed before the file is loaded."""


def test_a_class_of_a_package_that_is_missing_is_named(
    imported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("shop_models")
    monkeypatch.setitem(sys.modules, "shop_models", module)
    monkeypatch.setattr(Doubled, "__module__", "shop_models")
    monkeypatch.setattr(module, "Doubled", Doubled, raising=False)
    joblib.dump(Doubled().fit(ROWS, VALUES), tmp_path / "saved")
    content = (tmp_path / "saved").read_bytes()
    monkeypatch.delattr(module, "Doubled")
    with pytest.raises(ArtefactError, match="must be in modules that can be imported"):
        imported("price.joblib", content)
    monkeypatch.delitem(sys.modules, "shop_models")
    with pytest.raises(ArtefactError, match="needs the package shop_models, which is not"):
        imported("price.joblib", content)
