"""Conversion from scikit-learn to ONNX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.preprocessing import StandardScaler

from tidegate.service.artefacts.onnx_trees import cast_around_trees, exact_trees
from tidegate.service.artefacts.source_model import DatatypeOfNumbers
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature
from tidegate.service.model.inputs.matrix import MATRIX_INPUT

ESTIMATOR_OPSETS: Final = {"": 21, "ai.onnx.ml": 3}
"""What the converters of tree ensembles write; for a pipeline skl2onnx would choose newer ones."""


def convert(
    model: Any,
    features: Sequence[Feature],
    datatype: DatatypeOfNumbers,
    *,
    columns: bool = False,
    foreign: bool = False,
) -> bytes:
    """The content of an ONNX file of a fitted classifier or regressor.

    It takes named `columns` instead of a matrix if the model does; `foreign` are estimators of other packages
    in it, whose converters are registered.

    Raises:
        ArtefactError: skl2onnx cannot convert it.
    """
    is_wide = datatype == "FP64"
    options: dict[Any, dict[str, Any]] = {}
    if hasattr(model, "predict_proba"):
        options[id(model)] = {"zipmap": False}
    if foreign:
        # Subtraction and division round as scikit-learn does, multiplication does not.
        options[StandardScaler] = {"div": "div"}
    with conversion_errors(type(model).__name__), exact_trees():
        converted = to_onnx(
            model,
            initial_types=_inputs(features, is_wide=is_wide, columns=columns),
            options=options,
            target_opset=ESTIMATOR_OPSETS if foreign or is_wide else None,
        )
        if is_wide:
            cast_around_trees(converted)
    return content(converted)


def content(model: Any) -> bytes:
    """The content of an ONNX file, the same at each conversion of one model.

    Converters list the operator sets in the order of a Python set of strings, another in each process.
    """
    operator_sets = sorted(model.opset_import, key=lambda each: str(each.domain))
    del model.opset_import[:]
    model.opset_import.extend(operator_sets)
    found: bytes = model.SerializeToString()
    return found


@contextmanager
def conversion_errors(name: str) -> Iterator[None]:
    """Refuse the model of this name if its converter fails."""
    try:
        yield
    # The exceptions of the converters have no common base class.
    except Exception as error:
        reason = str(error)[:300]  # some contain the whole model
        raise ArtefactError(f"{name} cannot be converted to ONNX: {reason}") from error


def _inputs(features: Sequence[Feature], *, is_wide: bool, columns: bool) -> list[tuple[str, Any]]:
    numbers = DoubleTensorType if is_wide else FloatTensorType
    if not columns:
        return [(MATRIX_INPUT, numbers([None, len(features)]))]
    return [
        (f.name, (StringTensorType if f.kind == "category" else numbers)([None, 1]))
        for f in features
    ]
