"""LightGBM's models: the text file of a Booster, and its estimators in a joblib file."""

from __future__ import annotations

from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from support.samples.onnx_graphs import values_of
from tidegate.service.artefacts.import_error import ImportModelError

QUIET = {"verbose": -1, "num_threads": 1, "num_leaves": 7}


def train(rows: Any, truth: Any, objective: Any, *, group: Any = None, **extra: Any) -> Any:
    dataset = lightgbm.Dataset(rows, truth, group=group)
    return lightgbm.train({"objective": objective, **QUIET, **extra}, dataset, 6)


@pytest.mark.parametrize(
    "objective",
    [
        "regression",
        "regression_l1",
        "huber",
        "quantile",
        "poisson",
        "tweedie",
        "gamma",
    ],
)
def test_a_regressor_predicts_the_same_for_each_objective(
    data: Any, imported: Any, objective: str
) -> None:
    booster = train(data.rows, np.abs(data.value) + 0.1, objective)
    found = imported("price.txt", booster.save_model)
    assert found.manifest.task == "regression"
    expected = booster.predict(data.rows.astype(np.float32))
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=1e-4, atol=1e-5)


def test_a_booster_without_names_has_column_numbers_as_names_and_accepts_missing_values(
    data: Any, imported: Any
) -> None:
    booster = train(data.rows, data.value, "regression")
    found = imported("price.txt", booster.save_model)
    assert [feature.name for feature in found.manifest.features][:2] == ["Column_0", "Column_1"]
    assert all(feature.missing for feature in found.manifest.features)
    assert found.manifest.parity["rows"] == 1000  # of which 500 have missing values
    assert (found.path / "model.txt").is_file()


def test_the_schema_names_the_features_and_classes_of_a_booster_without_names(
    data: Any, imported: Any
) -> None:
    booster = train(data.rows, data.level, "multiclass", num_class=3)
    schema = 'classes = ["low", "mid", "high"]\n' + "".join(
        f'[[features]]\nname = "{name}"\n' for name in ("p", "q", "r", "s", "t")
    )
    found = imported("level.txt", booster.save_model, schema=schema)
    assert found.manifest.classes == ("low", "mid", "high")
    assert [feature.name for feature in found.manifest.features] == ["p", "q", "r", "s", "t"]
    expected = booster.predict(data.rows.astype(np.float32))
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("extra", [{"boosting": "dart"}, {"use_missing": False}])
def test_variants_of_boosting_predict_the_same(data: Any, imported: Any, extra: Any) -> None:
    booster = train(data.table, data.is_high, "binary", **extra)
    found = imported("high.txt", booster.save_model)
    assert found.manifest.classes == (0, 1)
    assert [feature.name for feature in found.manifest.features] == list("abcde")
    expected = booster.predict(data.rows.astype(np.float32))
    np.testing.assert_allclose(values_of(found, data.rows)[:, 1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("objective", "extra", "message"),
    [
        ("regression", {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, "averaged"),
        ("regression", {"linear_tree": True}, "linear models"),
        ("regression", {"zero_as_missing": True}, "zero_as_missing"),
        ("regression", {"reg_sqrt": True}, "has sqrt"),
        ("binary", {"sigmoid": 2.0}, "another sigmoid"),
        ("cross_entropy", {}, "`cross_entropy` is not supported; supported are binary, gamma"),
        ("multiclassova", {"num_class": 3}, "`multiclassova` is not supported"),
    ],
)
def test_what_the_converter_cannot_express_is_refused(
    data: Any, imported: Any, objective: str, extra: Any, message: str
) -> None:
    truth = data.level if "multi" in objective else data.is_high
    booster = train(data.rows, truth, objective, **extra)
    with pytest.raises(ImportModelError, match=message):
        imported("odd.txt", booster.save_model)


def test_a_ranking_model_is_refused_with_a_way_to_serve_it(data: Any, imported: Any) -> None:
    booster = train(data.rows, data.is_high, "lambdarank", group=[30] * 10)
    with pytest.raises(ImportModelError, match=r"rows of one query only; .* task = \"values\""):
        imported("rank.txt", booster.save_model)


def test_an_objective_of_the_user_is_refused(data: Any, imported: Any) -> None:
    def squared(predicted: Any, dataset: Any) -> Any:
        return predicted - dataset.get_label(), np.ones_like(predicted)

    booster = train(data.rows, data.value, squared)
    with pytest.raises(ImportModelError, match="its objective `custom` is not supported"):
        imported("own.txt", booster.save_model)


def cities(rows: int = 400) -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(3)
    city = random.choice(["Bonn", "Lima", "Oslo", "Rome", "Kyiv", "Riga"], rows)
    table = pd.DataFrame({"city": pd.Categorical(city), "size": random.normal(size=rows)})
    return table, np.isin(city, ["Lima", "Rome"]) * 3.0 + table["size"]


def test_categories_of_a_table_keep_their_names(imported: Any) -> None:
    table, price = cities()
    model = lightgbm.LGBMRegressor(n_estimators=6, n_jobs=1, verbose=-1).fit(table, price)
    found = imported("price.txt", model.booster_.save_model)
    (city, _) = found.manifest.features
    assert (city.kind, city.categories) == (
        "category",
        ("Bonn", "Kyiv", "Lima", "Oslo", "Riga", "Rome"),
    )
    codes = np.column_stack([table["city"].cat.codes, table["size"]])
    np.testing.assert_allclose(values_of(found, codes), model.predict(table), rtol=0, atol=1e-4)


def test_categories_without_names_are_named_by_the_schema(imported: Any) -> None:
    table, price = cities()
    rows = np.column_stack([table["city"].cat.codes, table["size"]])
    dataset = lightgbm.Dataset(rows, price, categorical_feature=[0])
    booster = lightgbm.train({"objective": "regression", **QUIET}, dataset, 4)
    with pytest.raises(ImportModelError, match=r"splits Column_0 by category.*`categories`"):
        imported("price.txt", booster.save_model)
    schema = '[[features]]\nname = "Column_0"\ncategories = ["b", "k", "l", "o", "r", "s"]\n'
    found = imported("price.txt", booster.save_model, schema=schema)
    assert found.manifest.features[0].categories == ("b", "k", "l", "o", "r", "s")


def test_an_estimator_in_joblib_keeps_its_names_and_classes(data: Any, imported: Any) -> None:
    names = np.array(["low", "mid", "high"])[data.level]
    model = lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1).fit(data.table, names)
    found = imported("level.joblib", model)
    assert found.manifest.classes == ("high", "low", "mid")
    assert found.manifest.features[0].missing
    expected = model.predict_proba(data.table.astype(np.float32))
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-5)


def test_an_estimator_in_a_pipeline_is_converted(data: Any, imported: Any) -> None:
    regressor = lightgbm.LGBMRegressor(n_estimators=4, n_jobs=1, verbose=-1)
    model = make_pipeline(StandardScaler(), regressor).fit(data.rows, data.value)
    found = imported("price.joblib", model)
    assert found.manifest.description.startswith("Pipeline of StandardScaler, LGBMRegressor")
    expected = model.predict(data.rows.astype(np.float32))
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-4)
