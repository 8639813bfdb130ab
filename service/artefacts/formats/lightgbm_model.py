"""LightGBM: the text file of a Booster, and its scikit-learn estimators in a joblib file."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tidegate.service.artefacts import tree_boosters
from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.artefacts.source_model import Estimators, FileFormat, SourceModel
from tidegate.service.artefacts.tree_boosters import Booster, import_package, refuse_objective
from tidegate.service.model.artefact import ArtefactError

CLASSIFICATION: Final = frozenset({"binary", "multiclass"})
REGRESSION: Final = frozenset(
    {"regression", "regression_l1", "huber", "poisson", "quantile", "gamma", "tweedie"}
)


ZERO: Final = float(np.float32(1e-35))
"""LightGBM's kZeroThreshold: what is not farther from 0 is 0 (include/LightGBM/meta.h)."""


def open_file(file: Path, schema: ModelSchema) -> SourceModel:
    """Read a Booster that `save_model` wrote.

    Raises:
        ArtefactError: LightGBM cannot read it, or the model is of a type that is not supported.
    """
    lightgbm = import_package("lightgbm")
    # LightGBM logs to stdout why it refuses a file, and then raises the same text.
    silent = logging.getLogger("lightgbm")
    silent.disabled = True
    lightgbm.register_logger(silent)
    content = file.read_bytes()
    if not content.startswith(b"tree"):
        raise ArtefactError(
            f"it is not a LightGBM model file: {FORMAT.accepts}; for another kind of model, use its suffix"
        )
    # LightGBM aborts the process at the end of a truncated file.
    if b"\nend of trees" not in content:
        raise ArtefactError(
            "it is incomplete: the end of its trees is missing: save the model again"
        )
    try:
        booster = lightgbm.Booster(model_file=str(file))
    except lightgbm.basic.LightGBMError as error:
        raise ArtefactError(f"LightGBM cannot read it: {error}") from error
    return _source(booster, "LightGBM Booster", None, schema)


def adopt(model: Any, schema: ModelSchema) -> SourceModel:
    """A Booster, LGBMClassifier or LGBMRegressor from a joblib file.

    Raises:
        ArtefactError: it is not fitted, or the model is of a type that is not supported.
    """
    lightgbm = import_package("lightgbm")
    name = type(model).__name__
    booster = model if isinstance(model, lightgbm.Booster) else getattr(model, "_Booster", None)
    if booster is None:
        raise ArtefactError(f"{name} is not a fitted model: call fit before joblib.dump")
    classes = getattr(model, "classes_", None)
    return _source(booster, name, classes, schema)


def register() -> None:
    """Make skl2onnx convert LightGBM's estimators inside a pipeline."""
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

    from tidegate.service.artefacts import onnx_trees

    lightgbm = import_package("lightgbm")
    estimators = ([lightgbm.LGBMClassifier], [lightgbm.LGBMRegressor])
    wide = onnx_trees.in_float64(convert_lightgbm, zero=ZERO)
    onnx_trees.register("LightGbm", wide, *estimators)


def _source(booster: Any, name: str, classes: Any, schema: ModelSchema) -> SourceModel:
    described = booster.dump_model()
    if not described["tree_info"]:
        raise ArtefactError("it is incomplete: it has no trees: save the model again")
    objective = str(described.get("objective") or "").split(" ")
    refuse_objective(objective[0] or "custom", CLASSIFICATION | REGRESSION)
    names = described["feature_names"]

    def convert(inputs: list[tuple[str, Any]]) -> Any:
        import onnxmltools
        from onnx import TensorProto
        from onnxmltools.convert.common._registration import register_converter
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        from tidegate.service.artefacts.onnx_trees import in_float64

        _refuse_unsupported(objective, described)
        for kind in ("Classifier", "Regressor"):
            wide = in_float64(convert_lightgbm, always=True, zero=ZERO)
            register_converter(f"Lgbm{kind}", wide, overwrite=True)
        model = onnxmltools.convert_lightgbm(booster, initial_types=inputs, zipmap=False)
        # It accepts no other type than float32 for the input of trees in float64.
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
        return model

    return tree_boosters.source_model(
        Booster(
            name=name,
            details=f"{objective[0]}, {len(described['tree_info'])} trees",
            names=names,
            named=names != [f"Column_{i}" for i in range(len(names))],
            categories=_categories(booster, described),
            classes=max(2, described["num_class"]) if objective[0] in CLASSIFICATION else 0,
            own_classes=classes,
            predict=lambda matrix: booster.predict(matrix.astype(np.float64), num_threads=1),
            convert=convert,
            datatype="FP64",
        ),
        schema,
    )


def _refuse_unsupported(objective: Sequence[str], described: dict[str, Any]) -> None:
    """Refuse what the converter writes a different model for, or cannot write."""
    for reason, found in (
        ("objective has sqrt (reg_sqrt)", "sqrt" in objective),
        (
            "objective has another sigmoid than 1",
            any(part.startswith("sigmoid:") and float(part[8:]) != 1 for part in objective),
        ),
        ('trees are averaged (boosting = "rf")', bool(described.get("average_output"))),
        ("leaves are linear models (linear_tree)", _has(described, "leaf_coeff")),
        ("zeros are missing values (zero_as_missing)", _has(described, "missing_type", "Zero")),
    ):
        if found:
            raise ArtefactError(f"its {reason}, which ONNX's tree ensembles cannot express")


def _has(described: dict[str, Any], key: str, value: str | None = None) -> bool:
    """Whether a node of a tree has a key, with this value if one is given."""
    return any(key in node and (value is None or node[key] == value) for node in _nodes(described))


def _categories(booster: Any, described: dict[str, Any]) -> dict[int, Sequence[object]]:
    """The categories of the columns that are categorical."""
    split = {
        node["split_feature"] for node in _nodes(described) if node.get("decision_type") == "=="
    }
    # A table's categorical columns, in order; LightGBM lists the codes seen as `values`.
    infos = described["feature_infos"]
    categorical = [
        column
        for column, name in enumerate(described["feature_names"])
        if column in split or infos.get(name, {}).get("values")
    ]
    known = booster.pandas_categorical or []
    if len(known) != len(categorical):
        return dict.fromkeys(categorical, ())
    return dict(zip(categorical, known, strict=True))


def _nodes(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting = [tree["tree_structure"] for tree in described["tree_info"]]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [node[side] for side in ("left_child", "right_child") if side in node]


FORMAT = FileFormat(
    title="LightGBM",
    suffixes=(".txt",),
    accepts="a Booster, by save_model to .txt, or an LGBM estimator, by joblib.dump to .joblib",
    open=open_file,
    estimators=Estimators("lightgbm", adopt, register),
)
