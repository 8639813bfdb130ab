"""Models of LightGBM and XGBoost: Boosters in files of their own, and estimators in joblib files."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from support.samples.onnx_graphs import values_of
from tidegate.service.artefacts.formats import lightgbm_model, xgboost_model
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.predictions import Classification


def _lightgbm(rows: Any, truth: Any, objective: Any, group: Any = None, **extra: Any) -> Any:
    dataset = lightgbm.Dataset(rows, truth, group=group)
    parameters = {"verbose": -1, "num_threads": 1, "num_leaves": 7, **extra}
    return lightgbm.train({"objective": objective, **parameters}, dataset, 6)


def _xgboost(rows: Any, truth: Any, objective: str, group: Any = None, **extra: Any) -> Any:
    matrix = xgboost.DMatrix(rows, truth, nthread=1)
    if group:
        matrix.set_group(group)
    parameters = {"objective": objective, "max_depth": 3, "nthread": 1, "verbosity": 0, **extra}
    return xgboost.train(parameters, matrix, 6)


@dataclass(frozen=True)
class Library:
    """A library: its file name, how a Booster is trained, and what it predicts."""

    file: str
    train: Callable[..., Any]
    predict: Callable[[Any, Any], Any]
    regressor: Any
    classifier: Any
    regression: str
    classes: str
    unnamed: tuple[str, str]


LIGHTGBM = Library(
    "m.txt",
    _lightgbm,
    lambda booster, rows: booster.predict(rows.astype(np.float32)),
    lambda **options: lightgbm.LGBMRegressor(n_estimators=6, n_jobs=1, verbose=-1, **options),
    lambda **options: lightgbm.LGBMClassifier(n_estimators=6, n_jobs=1, verbose=-1, **options),
    "regression",
    "multiclass",
    ("Column_0", "Column_1"),
)
XGBOOST = Library(
    "m.ubj",
    _xgboost,
    lambda booster, rows: booster.predict(xgboost.DMatrix(rows)),
    lambda **options: xgboost.XGBRegressor(n_estimators=6, n_jobs=1, **options),
    lambda **options: xgboost.XGBClassifier(n_estimators=6, n_jobs=1, **options),
    "reg:squarederror",
    "multi:softprob",
    ("f0", "f1"),
)
EACH = pytest.mark.parametrize("of", [LIGHTGBM, XGBOOST], ids=["lightgbm", "xgboost"])


@EACH
def test_two_conversions_of_one_file_are_one_model(
    data: Any, imported: Any, of: Library, tmp_path: Path
) -> None:
    booster = of.train(data.rows, data.value, of.regression)
    manifests = []
    for _ in range(2):
        manifests.append(imported(of.file, booster.save_model).manifest)
        shutil.rmtree(tmp_path / "out")
    first, second = manifests
    assert (first.version, first.digest) == (second.version, second.digest)
    measured = second.model_copy(update={"parity": {"seconds_per_row": 2.0}})
    assert measured.digest == first.digest


@pytest.mark.parametrize(
    ("of", "objective", "extra"),
    [
        *((LIGHTGBM, objective, {}) for objective in sorted(lightgbm_model.REGRESSION)),
        (LIGHTGBM, "regression", {"boosting": "dart"}),
        (LIGHTGBM, "regression", {"use_missing": False}),
        *((XGBOOST, each, {"quantile_alpha": 0.5}) for each in sorted(xgboost_model.REGRESSION)),
        (XGBOOST, "reg:squarederror", {"num_parallel_tree": 3, "subsample": 0.6}),
    ],
)
def test_a_regressor_predicts_the_same_for_each_objective(
    *, data: Any, imported: Any, of: Library, objective: str, extra: Any
) -> None:
    booster = of.train(data.rows, np.abs(data.value) + 0.1, objective, **extra)
    found = imported(of.file, booster.save_model)
    assert found.manifest.task == "regression"
    assert tuple(feature.name for feature in found.manifest.features)[:2] == of.unnamed
    assert all(feature.missing for feature in found.manifest.features)
    assert (found.path / f"model{Path(of.file).suffix}").is_file()
    expected = of.predict(booster, data.rows)
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=1e-4, atol=1e-5)


@EACH
def test_the_schema_names_the_features_and_classes_of_a_booster_without_names(
    data: Any, imported: Any, of: Library
) -> None:
    booster = of.train(data.rows, data.level, of.classes, num_class=3)
    schema = 'classes = ["low", "mid", "high"]\n' + "".join(
        f'[[features]]\nname = "{name}"\n' for name in ("p", "q", "r", "s", "t")
    )
    found = imported(of.file, booster.save_model, schema=schema)
    assert found.manifest.classes == ("low", "mid", "high")
    assert [feature.name for feature in found.manifest.features] == ["p", "q", "r", "s", "t"]
    expected = of.predict(booster, data.rows)
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-5)


def test_a_pair_of_classes_has_two_probabilities(data: Any, imported: Any) -> None:
    booster = _lightgbm(data.table, data.is_high, "binary")
    found = imported("high.txt", booster.save_model)
    assert found.manifest.classes == (0, 1)
    assert [feature.name for feature in found.manifest.features] == list("abcde")
    expected = LIGHTGBM.predict(booster, data.rows)
    np.testing.assert_allclose(values_of(found, data.rows)[:, 1], expected, rtol=0, atol=1e-5)


def test_a_booster_of_xgboost_that_predicts_labels_answers_probabilities(
    data: Any, imported: Any
) -> None:
    booster = _xgboost(data.table, data.level, "multi:softmax", num_class=3)
    found = imported("level.json", booster.save_model)
    assert found.manifest.classes == (0, 1, 2)
    assert [feature.name for feature in found.manifest.features] == list("abcde")
    expected = booster.predict(xgboost.DMatrix(data.table))
    assert values_of(found, data.rows).argmax(axis=1).tolist() == expected.tolist()


def test_the_trees_after_the_best_iteration_are_not_used(data: Any, imported: Any) -> None:
    model = xgboost.XGBClassifier(n_estimators=40, early_stopping_rounds=3, n_jobs=1)
    noisy = data.is_high ^ (np.random.default_rng(0).random(len(data.is_high)) < 0.3)
    held_out = (data.table[200:], noisy[200:])
    model.fit(data.table[:200], noisy[:200], eval_set=[held_out], verbose=False)
    assert model.best_iteration < 30
    found = imported("high.ubj", model.save_model)
    expected = model.predict_proba(data.table)
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-5)


FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}


def squared(predicted: Any, dataset: Any) -> Any:
    """An objective of the user's own."""
    return predicted - dataset.get_label(), np.ones_like(predicted)


@pytest.mark.parametrize(
    ("of", "objective", "extra", "reason"),
    [
        (LIGHTGBM, "regression", FOREST, "averaged"),
        (LIGHTGBM, "regression", {"linear_tree": True}, "linear models"),
        (LIGHTGBM, "regression", {"zero_as_missing": True}, "zero_as_missing"),
        (LIGHTGBM, "regression", {"reg_sqrt": True}, "has sqrt"),
        (LIGHTGBM, "binary", {"sigmoid": 2.0}, "another sigmoid"),
        # The converter writes another model, which the comparison detects.
        (
            XGBOOST,
            "multi:softprob",
            {"num_class": 3, "num_parallel_tree": 3, "subsample": 0.5},
            "predicts differently",
        ),
    ],
)  # fmt: skip
def test_what_the_converter_cannot_express_is_answered_by_the_original(
    *, data: Any, imported: Any, of: Library, objective: Any, extra: Any, reason: str
) -> None:
    truth = data.level if "num_class" in extra else data.is_high
    booster = of.train(data.rows, truth, objective, **extra)
    found = imported(of.file, booster.save_model)
    assert found.manifest.runtime == "original"
    assert reason in found.manifest.parity["reason"]
    predictor, _ = open_predictor(found)
    rows = np.nan_to_num(data.rows)
    names = [feature.name for feature in found.manifest.features]
    instances = [dict(zip(names, row, strict=True)) for row in rows.tolist()]
    answers = predictor.predict(predictor.inputs.read(instances))
    found_values = answers.probabilities if isinstance(answers, Classification) else answers
    expected = booster.predict(rows if of is LIGHTGBM else xgboost.DMatrix(rows))
    if objective == "binary":
        found_values = found_values[:, 1]
    np.testing.assert_allclose(found_values, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("of", "objective", "extra", "message"),
    [
        (LIGHTGBM, "cross_entropy", {}, "`cross_entropy` is not supported; supported are binary, gamma"),
        (LIGHTGBM, squared, {}, "its objective `custom` is not supported"),
        (XGBOOST, "reg:squarederror", {"booster": "dart"}, "booster is dart"),
        (XGBOOST, "reg:logistic", {}, "`reg:logistic` is not supported; supported are binary:logistic"),
        (XGBOOST, "rank:ndcg", {}, "`rank:ndcg` is not supported"),
    ],
)  # fmt: skip
def test_an_objective_or_a_booster_that_is_not_supported_is_refused(
    *, data: Any, imported: Any, of: Library, objective: Any, extra: Any, message: str
) -> None:
    group = [30] * 10 if "rank" in str(objective) else None
    truth = data.level if "num_class" in extra else data.is_high
    booster = of.train(data.rows, truth, objective, group, **extra)
    with pytest.raises(ArtefactError, match=message):
        imported(of.file, booster.save_model)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda data: LIGHTGBM.regressor(), "not a fitted model"),
        (lambda data: XGBOOST.regressor(), "not a fitted model"),
        (
            lambda data: XGBOOST.regressor(missing=-1).fit(np.nan_to_num(data.rows), data.value),
            "its `missing` is -1",
        ),
        (
            lambda data: _xgboost(
                data.rows, np.column_stack([data.value, -data.value]), "reg:squarederror"
            ),
            "several values per row",
        ),
    ],
)
def test_an_estimator_that_cannot_be_converted_is_refused(
    data: Any, imported: Any, make: Callable[[Any], Any], message: str
) -> None:
    with pytest.raises(ArtefactError, match=message):
        imported("m.joblib", make(data))


CITIES = ("Bonn", "Kyiv", "Lima", "Oslo", "Riga", "Rome")


def cities() -> tuple[pd.DataFrame, Any]:
    random = np.random.default_rng(3)
    city = random.choice(CITIES, 400)
    table = pd.DataFrame({"city": pd.Categorical(city), "size": random.normal(size=400)})
    return table, np.isin(city, ["Lima", "Rome"]) * 3.0 + table["size"]


@pytest.mark.parametrize("marked", ["i", "int"])
def test_xgboost_s_booleans_are_served_by_onnx_and_integers_that_are_marked_so_are_numbers(
    imported: Any, marked: str
) -> None:
    random = np.random.default_rng(5)
    rows = np.column_stack([random.integers(0, 20, 400), random.random(400) < 0.5]).astype(float)
    late = (rows[:, 0] + 5 * rows[:, 1] > 12).astype(int)
    about = {"feature_names": ["age", "flag"], "feature_types": [marked, "i"]}
    matrix = xgboost.DMatrix(rows, late, nthread=1, **about)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 4)
    found = imported("m.json", booster.save_model)
    assert found.manifest.runtime == "onnx"
    assert [each.kind for each in found.manifest.features] == ["number", "boolean"]
    expected = booster.predict(matrix)
    np.testing.assert_allclose(values_of(found, rows)[:, 1], expected, rtol=0, atol=1e-6)


@EACH
def test_categories_of_a_table_keep_their_names(imported: Any, of: Library) -> None:
    table, price = cities()
    options = {"enable_categorical": True} if of is XGBOOST else {}
    model = of.regressor(**options).fit(table, price)
    found = imported(of.file, (model.booster_ if of is LIGHTGBM else model).save_model)
    (city, _) = found.manifest.features
    assert (city.kind, city.categories) == ("category", CITIES)
    codes = np.column_stack([table["city"].cat.codes, table["size"]])
    np.testing.assert_allclose(values_of(found, codes), model.predict(table), rtol=0, atol=1e-4)


@EACH
def test_categories_without_names_are_named_by_the_schema(imported: Any, of: Library) -> None:
    table, price = cities()
    rows = np.column_stack([table["city"].cat.codes, table["size"]])
    booster: Any
    if of is LIGHTGBM:
        dataset = lightgbm.Dataset(rows, price, categorical_feature=[0])
        booster = lightgbm.train({"objective": "regression", "verbose": -1}, dataset, 4)
    else:
        types = {"feature_types": ["c", "q"], "enable_categorical": True}
        booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, price, **types), 4)
    with pytest.raises(ArtefactError, match=rf"splits {of.unnamed[0]} by category.*`categories`"):
        imported(of.file, booster.save_model)
    schema = f'[[features]]\nname = "{of.unnamed[0]}"\ncategories = {list("bklors")}\n'
    found = imported(of.file, booster.save_model, schema=schema)
    assert found.manifest.features[0].categories == tuple("bklors")


@EACH
def test_an_estimator_in_joblib_keeps_its_names_and_classes(
    data: Any, imported: Any, of: Library
) -> None:
    classes: tuple[str, ...] = ()
    if of is LIGHTGBM:
        names = np.array(["low", "mid", "high"])
        model = of.classifier().fit(data.table, names[data.level])
        classes, predict = ("high", "low", "mid"), model.predict_proba
    else:
        model = xgboost.XGBRFRegressor(n_estimators=4, n_jobs=1).fit(data.table, data.value)
        predict = model.predict
    found = imported("level.joblib", model)
    assert found.manifest.classes == classes
    assert [feature.name for feature in found.manifest.features] == list("abcde")
    expected = predict(data.table.astype(np.float32))
    np.testing.assert_allclose(values_of(found, data.rows), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("output", ["default", "pandas"])
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@EACH
def test_an_estimator_after_a_scaler_takes_the_same_branches(
    *, data: Any, imported: Any, kind: str, output: Any, of: Library
) -> None:
    # A threshold of its trees is a scaled training value: rounding by another formula is visible.
    rows = data.table.fillna(0.0).astype(np.float32)
    estimator = getattr(of, kind)()
    model = make_pipeline(StandardScaler(), estimator).set_output(transform=output)
    model.fit(rows, data.is_high if kind == "classifier" else data.value)
    found = imported("m.joblib", model, rows=rows.to_csv(index=False))
    assert found.manifest.parity["rows_apart"] == 0


def test_a_file_without_the_package_is_refused_with_the_command_to_install_it(
    data: Any, imported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    booster = _lightgbm(data.rows, data.value, "regression")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ArtefactError, match=r"needs the package lightgbm.*pip install"):
        imported("m.txt", booster.save_model)


@EACH
def test_a_truncated_file_is_refused(data: Any, imported: Any, of: Library, tmp_path: Path) -> None:
    booster = of.train(data.rows, data.value, of.regression)
    booster.save_model(tmp_path / f"whole-{of.file}")
    whole = (tmp_path / f"whole-{of.file}").read_bytes()
    with pytest.raises(ArtefactError, match=r"incomplete|XGBoost cannot read it"):
        imported(of.file, whole[: len(whole) // 2])
