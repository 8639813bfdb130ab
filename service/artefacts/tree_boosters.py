"""What the converters of LightGBM and XGBoost boosters share: features, answers and categories.

A replica imports no training library: `predict` of one row takes 23 µs in LightGBM and 188 µs in XGBoost, 6
and 9 µs in ONNX Runtime (100 trees, one thread, 2 shared cores, 2026-11-26), and both start thread pools of
their own beside the slots. onnxmltools writes another model for some variants without an error, so the known
ones are refused by name and each conversion is compared with the original. XGBoost stays below 3.3: the
converter reads its dump, which changes between versions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.import_error import ImportModelError
from tidegate.service.artefacts.onnx_export import class_names
from tidegate.service.artefacts.parity import ExportError
from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.artefacts.synthetic_rows import random_rows
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.inputs.matrix import MATRIX_INPUT
from tidegate.service.model.signature import Signature


def refuse_objective(objective: str, supported: Set[str], *, ranks: bool) -> None:
    """Refuse a booster by its objective.

    Args:
        objective: the name of it.
        supported: those that are converted.
        ranks: whether it is one of a ranking model.

    Raises:
        ImportModelError: it is none of those; the text names them.
    """
    if ranks:
        raise ImportModelError(
            f"its objective is {objective}: a ranking model's scores compare rows of one query only; "
            'export it to ONNX and serve that with task = "values" in schema.toml'
        )
    if objective not in supported:
        accepted = ", ".join(sorted(supported))
        raise ImportModelError(
            f"its objective `{objective}` is not supported; supported are {accepted}"
        )


def booster_features(
    names: Sequence[str],
    categories: Mapping[int, Sequence[object]],
    library: str,
    schema: ModelSchema,
) -> tuple[Feature, ...]:
    """The features of a booster; those that it splits by category have their categories as strings.

    Args:
        names: the feature names.
        categories: the categories of each categorical column, in the order of their codes; empty if only the
            codes are known.
        library: the name of the library, for the message.
        schema: names the categories that the booster does not have.

    Raises:
        ImportModelError: the categories of a column are unknown.
    """
    given = {feature.name: feature.categories for feature in schema.features}
    features: list[Feature] = []
    for column, name in enumerate(names):
        if column not in categories:
            features.append(Feature(name=name))
            continue
        values = categories[column] or given.get(name) or ()
        if not values:
            raise ImportModelError(
                f"{library} splits {name} by category, and the file has only codes: name its `categories`, "
                "in the order of the codes, in a schema.toml beside the file"
            )
        features.append(
            Feature(name=name, kind="category", categories=tuple(str(value) for value in values))
        )
    return tuple(features)


def booster_signature(
    features: tuple[Feature, ...],
    *,
    classes: int,
    own_classes: Sequence[object] | None,
    schema: ModelSchema,
) -> Signature:
    """The signature of a booster.

    Args:
        features: its features.
        classes: its number of classes; 0 for a regressor.
        own_classes: the names of the classes, if the model has them.
        schema: names the classes otherwise; without names they are 0, 1, …

    Raises:
        ImportModelError: the schema file has another number of classes, or another task.
        ExportError: the model's own names are neither strings nor integers.
    """
    task = "classification" if classes else "regression"
    if schema.task not in {None, task}:
        raise ImportModelError(f"`task` is {schema.task} in the schema file; the model's is {task}")
    if not classes:
        return Signature(task="regression", features=features, target=schema.target)
    named = () if own_classes is None else class_names(np.asarray(own_classes).tolist())
    names = tuple(schema.classes or named or range(classes))
    if len(names) != classes:
        raise ImportModelError(
            f"`classes` has {len(names)} names in the schema file; the model has {classes} classes"
        )
    return Signature(features=features, classes=names)


def two_columns(probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The probabilities of both classes, from those of the second one."""
    if probabilities.ndim == 2:
        return probabilities
    return np.column_stack([1 - probabilities, probabilities])


def rows(features: Sequence[Feature], thresholds: Mapping[int, Sequence[float]]) -> Matrix:
    """Rows around the thresholds of the trees, and zeros, which `zero_as_missing` treats as missing."""
    return random_rows(features, thresholds=thresholds, zeros=0.1)


def booster_graph(
    name: str, features: Sequence[Feature], convert: Callable[[list[tuple[str, Any]]], Any]
) -> bytes:
    """The ONNX graph of a booster.

    Args:
        name: the booster, for the message.
        features: its features, which are the columns of the graph's input.
        convert: converts it, given the names and types of the inputs; returns the ONNX model.

    Raises:
        ExportError: it cannot be converted.
    """
    from onnxmltools.convert.common.data_types import FloatTensorType  # noqa: PLC0415 (only a conversion needs it)

    try:
        graph: bytes = convert(
            [(MATRIX_INPUT, FloatTensorType([None, len(features)]))]
        ).SerializeToString()
    # The exceptions of the converters have no common base class.
    except Exception as error:
        raise ExportError(f"{name} cannot be converted to ONNX: {str(error)[:300]}") from error
    return graph
