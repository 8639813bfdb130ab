"""XGBoost's models: the JSON or UBJSON file of a Booster, and its estimators in a joblib file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from support.samples.onnx_graphs import values_of
from tidegate.service.artefacts.import_error import ImportModelError


def train(
    rows: Any, truth: Any, objective: str, *, names: Any = None, group: Any = None, **extra: Any
) -> Any:
    matrix = xgboost.DMatrix(rows, truth, feature_names=names, nthread=1)
    if group:
        matrix.set_group(group)
    parameters = {"objective": objective, "max_depth": 3, "nthread": 1, "verbosity": 0, **extra}
    return xgboost.train(parameters, matrix, 6)


@pytest.mark.parametrize(
    ("objective", "extra"),
    [
        ("reg:squarederror", {}),
        ("reg:squaredlogerror", {}),
        ("reg:absoluteerror", {}),
        ("reg:pseudohubererror", {}),
        ("reg:quantileerror", {"quantile_alpha": 0.5}),
        ("reg:gamma", {}),
        ("reg:tweedie", {}),
        ("count:poisson", {}),
        ("reg:squarederror", {"num_parallel_tree": 3, "subsample": 0.6}),
    ],
)
def test_a_regressor_predicts_the_same_for_each_objective(
    data: Any, imported: Any, objective: str, extra: Any
) -> None:
    booster = train(data.rows, np.abs(data.value) + 0.1, objective, **extra)
    found = imported("price.json", booster.save_model)
    assert found.manifest.task == "regression"
    assert [feature.name for feature in found.manifest.features] == ["f0", "f1", "f2", "f3", "f4"]
    assert all(feature.missing for feature in found.manifest.features)
    expected = booster.predict(xgboost.DMatrix(data.rows))
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_a_classifier_predicts_the_same(data: Any, imported: Any, objective: str) -> None:
    booster = train(data.rows, data.level, objective, names=list("abcde"), num_class=3)
    found = imported("level.ubj", booster.save_model)
    assert found.manifest.classes == (0, 1, 2)
    assert [feature.name for feature in found.manifest.features] == list("abcde")
    expected = booster.predict(xgboost.DMatrix(data.rows, feature_names=list("abcde")))
    probabilities = values_of(found, data.rows)
    if objective == "multi:softmax":
        assert probabilities.argmax(axis=1).tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)


def test_the_trees_after_the_best_iteration_are_not_used(data: Any, imported: Any) -> None:
    model = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=3, n_jobs=1)
    noisy = data.is_high ^ (np.random.default_rng(0).random(len(data.is_high)) < 0.3)
    held_out = (data.table[200:], noisy[200:])
    model.fit(data.table[:200], noisy[:200], eval_set=[held_out], verbose=False)
    assert model.best_iteration < 30
    found = imported("high.ubj", model.save_model)
    expected = model.predict_proba(data.table)
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("objective", "extra", "message"),
    [
        ("reg:squarederror", {"booster": "dart"}, "booster is dart"),
        ("reg:squarederror", {"booster": "gblinear"}, "booster is gblinear"),
        ("reg:logistic", {}, "`reg:logistic` is not supported; supported are binary:logistic"),
        ("binary:logitraw", {}, "`binary:logitraw` is not supported"),
        ("binary:hinge", {}, "`binary:hinge` is not supported"),
        ("survival:cox", {}, "`survival:cox` is not supported"),
        ("rank:ndcg", {}, r"rows of one query only; .* task = \"values\""),
    ],
)
def test_what_the_converter_cannot_express_is_refused(
    data: Any, imported: Any, objective: str, extra: Any, message: str
) -> None:
    group = [30] * 10 if objective.startswith("rank") else None
    booster = train(data.rows, data.is_high, objective, group=group, **extra)
    with pytest.raises(ImportModelError, match=message):
        imported("odd.json", booster.save_model)


def test_parallel_trees_of_several_classes_are_detected_by_the_comparison(
    data: Any, imported: Any
) -> None:
    booster = train(
        data.rows, data.level, "multi:softprob", num_class=3, num_parallel_tree=3, subsample=0.5
    )
    with pytest.raises(ImportModelError, match="predicts differently"):
        imported("level.json", booster.save_model)


def test_several_values_per_row_are_refused(data: Any, imported: Any) -> None:
    truth = np.column_stack([data.value, -data.value])
    booster = train(data.rows, truth, "reg:squarederror")
    with pytest.raises(ImportModelError, match="predicts several values per row"):
        imported("two.json", booster.save_model)


def test_categories_of_a_table_keep_their_names(imported: Any) -> None:
    random = np.random.default_rng(3)
    city = random.choice(["Bonn", "Lima", "Oslo", "Rome", "Kyiv", "Riga"], 400)
    table = pd.DataFrame({"city": pd.Categorical(city), "size": random.normal(size=400)})
    price = np.isin(city, ["Lima", "Rome"]) * 3.0 + table["size"]
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1, enable_categorical=True)
    model.fit(table, price)
    found = imported("price.ubj", model.save_model)
    (first, _) = found.manifest.features
    assert first.categories == ("Bonn", "Kyiv", "Lima", "Oslo", "Riga", "Rome")
    codes = np.column_stack([table["city"].cat.codes, table["size"]])
    np.testing.assert_allclose(values_of(found, codes), model.predict(table), rtol=0, atol=1e-4)


def test_categories_without_names_are_refused(imported: Any) -> None:
    random = np.random.default_rng(3)
    rows = np.column_stack([random.integers(0, 6, 200), random.normal(size=200)])
    matrix = xgboost.DMatrix(
        rows, np.isin(rows[:, 0], [1, 4]) * 3.0, feature_types=["c", "q"], enable_categorical=True
    )
    booster = xgboost.train({"nthread": 1}, matrix, 3)
    with pytest.raises(ImportModelError, match=r"splits f0 by category.*`categories`"):
        imported("price.json", booster.save_model)


def test_an_estimator_in_joblib_keeps_its_names(data: Any, imported: Any) -> None:
    model = xgboost.XGBRFRegressor(n_estimators=4, n_jobs=1).fit(data.table, data.value)
    found = imported("price.joblib", model)
    assert [feature.name for feature in found.manifest.features] == list("abcde")
    expected = model.predict(data.table)
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_an_estimator_after_a_scaler_takes_the_same_branches(
    data: Any, imported: Any, output: Any
) -> None:
    # A threshold of its trees is a scaled training value: rounding by another formula is visible.
    rows, classes = data.table.fillna(0.0).astype(np.float32), data.is_high
    classifier = xgboost.XGBClassifier(n_estimators=20, n_jobs=1)
    model = make_pipeline(StandardScaler(), classifier).set_output(transform=output)
    model.fit(rows, classes)
    found = imported("high.joblib", model, rows=rows.to_csv(index=False))
    assert found.manifest.parity["rows_apart"] == 0


def test_another_missing_value_than_nan_is_refused(data: Any, imported: Any) -> None:
    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1, missing=-1).fit(
        np.nan_to_num(data.rows), data.value
    )
    with pytest.raises(ImportModelError, match="its `missing` is -1; in ONNX only NaN"):
        imported("price.joblib", model)
