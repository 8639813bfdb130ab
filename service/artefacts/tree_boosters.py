"""What the formats of LightGBM and XGBoost share: features, answers, categories and conversion.

A replica imports no training library: `predict` of one row takes 23 µs in LightGBM and 188 µs in XGBoost, 6
and 9 µs in ONNX Runtime (100 trees, one thread, 2 shared cores, 2026-11-26), and both start thread pools of
their own beside the slots. onnxmltools writes another model for some variants without an error, so the known
ones are refused by name and each conversion is compared with the original. XGBoost stays below 3.3: the
converter reads its dump, which changes between versions.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.artefacts.source_model import (
    DatatypeOfNumbers,
    Predictions,
    SourceModel,
    Texts,
    class_names,
)
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.inputs.matrix import MATRIX_INPUT
from tidegate.service.model.signature import Signature


@dataclass(frozen=True, slots=True)
class Booster:
    """What a library says about a booster of its own."""

    name: str
    """Its class, such as `XGBoost Booster`."""
    details: str
    """Its objective and its size, for the description."""
    names: Sequence[str]
    """The feature names."""
    named: bool
    """Whether it was fitted with these names."""
    categories: Mapping[int, Sequence[object]]
    """Those of each categorical column, in the order of their codes; empty if only the codes are known."""
    classes: int
    """Its number of classes; 0 for a regressor."""
    own_classes: Any
    """The names of the classes, if it has them."""
    predict: Callable[[Matrix], Predictions]
    """What it predicts for rows; of two classes the probability of the second one."""
    convert: Callable[[list[tuple[str, Any]]], Any]
    """The ONNX model, given the names and types of the inputs."""
    booleans: Collection[int] = ()
    """The columns that are true or false."""
    datatype: DatatypeOfNumbers = "FP32"
    """The type that it compares a value with a threshold in, which its ONNX model has, too."""


def source_model(booster: Booster, schema: ModelSchema) -> SourceModel:
    """The booster as the import takes it; the schema names the categories that it does not have itself.

    Raises:
        ArtefactError: the categories of a column are unknown, or its classes are neither strings nor
            integers.
    """

    def predict(_: Sequence[Feature], matrix: Matrix, __: Texts) -> Predictions:
        found = booster.predict(matrix)
        is_pair = booster.classes and found.ndim == 1
        return np.column_stack([1 - found, found]) if is_pair else found

    def to_onnx(features: Sequence[Feature], _: DatatypeOfNumbers) -> bytes:
        from onnxmltools.convert.common.data_types import FloatTensorType

        from tidegate.service.artefacts.onnx_export import content, conversion_errors

        inputs = [(MATRIX_INPUT, FloatTensorType([None, len(features)]))]
        with conversion_errors(booster.name):
            model = booster.convert(inputs)
        model.graph.name = booster.name  # onnxmltools gives it a random one
        return content(model)

    return SourceModel(
        description=f"{booster.name} ({booster.details})",
        signature=_signature(booster, schema),
        to_onnx=to_onnx,
        predict=predict,
        named=booster.named,
        takes_missing=True,
        datatypes=(booster.datatype,),
    )


def import_package(name: str) -> Any:
    """The library of a booster.

    Raises:
        ArtefactError: it, or the library that it needs, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ArtefactError(
            f"it needs the package {name}, which is not installed here: pip install 'tidegate[train]'"
        ) from error
    except OSError as error:
        raise ArtefactError(
            f"{name} cannot be loaded ({error}): install GNU OpenMP, on Debian by apt-get install libgomp1"
        ) from error


def refuse_objective(objective: str, supported: Set[str]) -> None:
    """Refuse a booster whose objective is none of the supported ones.

    Raises:
        ArtefactError: the text names those.
    """
    if objective not in supported:
        accepted = ", ".join(sorted(supported))
        raise ArtefactError(
            f"its objective `{objective}` is not supported; supported are {accepted}"
        )


def _signature(booster: Booster, schema: ModelSchema) -> Signature:
    features = _features(booster, schema)
    if not booster.classes:
        return Signature(task="regression", features=features, target=schema.target)
    named = () if booster.own_classes is None else class_names(booster.own_classes)
    return Signature(features=features, classes=named or tuple(range(booster.classes)))


def _features(booster: Booster, schema: ModelSchema) -> tuple[Feature, ...]:
    given = {feature.name: feature.categories for feature in schema.features}
    features: list[Feature] = []
    for column, name in enumerate(booster.names):
        if column not in booster.categories:
            is_boolean = column in booster.booleans
            features.append(Feature(name=name, kind="boolean" if is_boolean else "number"))
            continue
        values = booster.categories[column] or given.get(name) or ()
        if not values:
            raise ArtefactError(
                f"it splits {name} by category, and the file has only codes: name its `categories`, "
                "in the order of the codes, in a schema.toml beside the file"
            )
        features.append(Feature(name=name, kind="category", categories=tuple(map(str, values))))
    return tuple(features)
