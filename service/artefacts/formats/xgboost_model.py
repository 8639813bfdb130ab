"""XGBoost: the JSON or UBJSON file of a Booster, and its scikit-learn estimators in a joblib file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from tidegate.service.artefacts import tree_boosters
from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.artefacts.source_model import Estimators, FileFormat, Predictions, SourceModel
from tidegate.service.artefacts.tree_boosters import Booster, import_package, refuse_objective
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Matrix

CLASSIFICATION: Final = frozenset({"binary:logistic", "multi:softprob", "multi:softmax"})
REGRESSION: Final = frozenset(
    {
        "reg:squarederror",
        "reg:squaredlogerror",
        "reg:absoluteerror",
        "reg:pseudohubererror",
        "reg:quantileerror",
        "reg:gamma",
        "reg:tweedie",
        "count:poisson",
    }
)


def open_file(file: Path, schema: ModelSchema) -> SourceModel:
    """Read a Booster that `save_model` wrote.

    Raises:
        ArtefactError: XGBoost cannot read it, or the model is of a type that is not supported.
    """
    xgboost = import_package("xgboost")
    content = bytearray(file.read_bytes())
    if not content.lstrip().startswith(b"{"):
        raise ArtefactError(
            f"it is not an XGBoost model file: {FORMAT.accepts}; for another kind of model, use its suffix"
        )
    # XGBoost would read beyond the end of an incomplete UBJSON file, and take what it finds for a length.
    if not content.rstrip().endswith(b"}"):
        raise ArtefactError("XGBoost cannot read it: its end is missing: save the model again")
    try:
        booster = xgboost.Booster(model_file=content)
        booster.num_features()
    # XGBoost fails to decode its own message about a damaged byte.
    except (xgboost.core.XGBoostError, UnicodeDecodeError) as error:
        line = str(error).strip().splitlines()[0]
        reason = re.sub(r"^\[[\d:]+\] \S+ ", "", line)  # the time, and a place in its source
        raise ArtefactError(f"XGBoost cannot read it: {reason}: save the model again") from error
    return _source(booster, "XGBoost Booster", None, schema)


def adopt(model: Any, schema: ModelSchema) -> SourceModel:
    """A Booster, XGBClassifier, XGBRegressor or a random forest of XGBoost from a joblib file.

    Raises:
        ArtefactError: it is not fitted, or the model is of a type that is not supported.
    """
    xgboost = import_package("xgboost")
    name = type(model).__name__
    if isinstance(model, xgboost.Booster):
        return _source(model, name, None, schema)
    if not hasattr(model, "get_booster") or not model.__sklearn_is_fitted__():
        raise ArtefactError(f"{name} is not a fitted model: call fit before joblib.dump")
    if not np.isnan(model.missing):
        raise ArtefactError(
            f"its `missing` is {model.missing:g}; in ONNX only NaN is a missing value: train with missing=nan"
        )
    return _source(model.get_booster(), name, getattr(model, "classes_", None), schema)


def _register() -> None:
    """Make skl2onnx convert XGBoost's estimators inside a pipeline."""
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

    from tidegate.service.artefacts.onnx_trees import register

    xgboost = import_package("xgboost")

    def convert(scope: Any, operator: Any, container: Any) -> None:
        # As in `_source`: a step before it may output a table with names.
        _make_convertible(operator.raw_operator.get_booster())
        convert_xgboost(scope, operator, container)

    register(
        "XGBoost",
        convert,
        [xgboost.XGBClassifier, xgboost.XGBRFClassifier],
        [xgboost.XGBRegressor, xgboost.XGBRFRegressor],
    )


def _source(booster: Any, name: str, classes: Any, schema: ModelSchema) -> SourceModel:
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    _refuse_unsupported(objective, learner)
    # Trees after the best iteration of an early stopping are not used, as XGBClassifier does not use them.
    best = booster.attr("best_iteration")
    trees = booster[: int(best) + 1] if best is not None else booster.copy()
    own_names, types = booster.feature_names, booster.feature_types
    _make_convertible(trees)
    if objective == "multi:softmax":  # the same trees, but it predicts labels
        trees.set_param("objective", "multi:softprob")
    count = max(2, int(learner["learner_model_param"]["num_class"]))

    def predict(matrix: Matrix) -> Predictions:
        data = import_package("xgboost").DMatrix(
            matrix, feature_types=types, enable_categorical=True, nthread=1
        )
        found: Predictions = trees.predict(data)
        return found

    def convert(inputs: list[tuple[str, Any]]) -> Any:
        from onnxmltools import convert_xgboost

        return convert_xgboost(trees, initial_types=inputs)

    return tree_boosters.source_model(
        Booster(
            name=name,
            details=f"{objective}, {trees.num_boosted_rounds()} rounds",
            names=own_names or [f"f{i}" for i in range(booster.num_features())],
            named=own_names is not None,
            categories=_categories(booster, types),
            booleans=_booleans(trees, types),
            classes=count if objective in CLASSIFICATION else 0,
            own_classes=classes,
            predict=predict,
            convert=convert,
        ),
        schema,
    )


def _make_convertible(trees: Any) -> None:
    """Leave out what the converter cannot read in the dump: other names than f0, f1, …, and no thresholds.

    A dump has none of a column of booleans, and rounds those of integers.
    """
    types = trees.feature_types
    trees.feature_names = None
    trees.feature_types = types and ["c" if kind == "c" else "q" for kind in types]


def _booleans(trees: Any, types: Sequence[str] | None) -> set[int]:
    """The columns of the type `i`, XGBoost's boolean, unless it split one elsewhere than between 0 and 1."""
    declared = {column for column, kind in enumerate(types or ()) if kind == "i"}
    dump = "".join(trees.get_dump(dump_format="json")) if declared else ""
    splits = re.findall(r'"split": "f(\d+)", "split_condition": ([^\[,]+),', dump)
    return declared - {int(column) for column, at in splits if not 0 < float(at) <= 1}


def _refuse_unsupported(objective: str, learner: dict[str, Any]) -> None:
    """Refuse what the converter writes a different model for, or cannot write."""
    booster = learner["gradient_booster"]["name"]
    if booster != "gbtree":
        raise ArtefactError(
            f"its booster is {booster}, which the converter to ONNX does not support: train with booster = "
            '"gbtree"'
        )
    if int(learner["learner_model_param"].get("num_target", 1)) > 1:
        raise ArtefactError(
            "it predicts several values per row: train one model per value, and serve each"
        )
    refuse_objective(objective, CLASSIFICATION | REGRESSION)


def _categories(booster: Any, types: Sequence[str] | None) -> dict[int, Sequence[object]]:
    """The categories of the columns that are categorical; XGBoost 3.1 and later saves them."""
    categorical = [column for column, kind in enumerate(types or ()) if kind == "c"]
    if not categorical:
        return {}
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    encoded = model.get("cats", {}).get("enc", [])
    return {
        column: _decoded(encoded[column]) if column < len(encoded) else () for column in categorical
    }


def _decoded(encoding: dict[str, list[int]]) -> list[object]:
    """Categories from XGBoost's form: numbers, or the bytes of all strings with their offsets."""
    offsets, values = encoding.get("offsets"), encoding["values"]
    if offsets is None:
        return list(values)
    text = bytes(values)
    return [text[start:end].decode() for start, end in pairwise(offsets)]


FORMAT = FileFormat(
    title="XGBoost",
    suffixes=(".json", ".ubj"),
    accepts="a Booster, by save_model to .json or .ubj, or an XGB estimator, by joblib.dump to .joblib",
    open=open_file,
    estimators=Estimators("xgboost", adopt, _register),
)
