"""Tree ensembles in ONNX that take the branch that the original takes, also at a threshold.

scikit-learn's trees compare a feature in float32 with a threshold in float64, its histogram boosting and
LightGBM both in float64, XGBoost both in float32. A graph that rounds either takes the other branch where a
value lies on a threshold, which is where values with few digits lie: the threshold between 35 and 37 is 36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import update_registered_converter
from skl2onnx.common import shape_calculator as shapes
from skl2onnx.common import tree_ensemble
from skl2onnx.common._registration import get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType
from skl2onnx.operator_converters import random_forest
from skl2onnx.operator_converters.common import concatenate_variables
from skl2onnx.operator_converters.imputer_op import convert_sklearn_imputer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer

_NUMBERS: Final = frozenset(
    {"nodes_values", "nodes_hitrates", "class_weights", "target_weights", "base_values"}
)
_WITH_TENSORS: Final = 3
"""The version of ai.onnx.ml from which a tree ensemble may have these as tensors of float64."""


def in_float64(
    convert: Callable[..., None],
    *,
    always: bool = False,
    zero: float = 0.0,
) -> Callable[..., None]:
    """A converter that writes thresholds and leaves in float64, for an input of float64 or `always`.

    The original takes values from `-zero` to `zero` for 0, so the branch below `-zero` begins beyond it.
    """

    def converted(scope: Any, operator: Any, container: Any) -> None:
        add_node = container.add_node

        def add_wide(op_type: str, *args: Any, **attributes: Any) -> None:
            if op_type.startswith("TreeEnsemble"):
                for name in _NUMBERS & attributes.keys():
                    wide = np.array(attributes.pop(name), np.float64).ravel()
                    if name == "nodes_values":
                        wide[(-zero <= wide) & (wide < 0)] = np.nextafter(-zero, -np.inf)
                    attributes[f"{name}_as_tensor"] = numpy_helper.from_array(wide)
                attributes["op_version"] = _WITH_TENSORS
            add_node(op_type, *args, **attributes)

        if always or isinstance(operator.inputs[0].type, DoubleTensorType):
            container.add_node = add_wide
        convert(scope, operator, container)

    return converted


@contextmanager
def exact_trees() -> Iterator[None]:
    """Let skl2onnx write trees that decide as scikit-learn's do.

    Its 1.20 rounds the thresholds of HistGradientBoosting models, and puts Python's False among a node's
    whole numbers, which onnx refuses from 1.23 on.
    """
    add_node = tree_ensemble.add_node

    def add_whole(*args: Any, nodes_missing_value_tracks_true: Any = 0, **named: Any) -> Any:
        tracks = int(nodes_missing_value_tracks_true)
        return add_node(*args, nodes_missing_value_tracks_true=tracks, **named)

    classifier, regressor = (
        in_float64(partial(convert, op_version=_WITH_TENSORS))
        for convert in (
            random_forest.convert_sklearn_random_forest_classifier,
            random_forest.convert_sklearn_random_forest_regressor_converter,
        )
    )
    update_registered_converter(
        SimpleImputer,
        "SklearnSimpleImputer",
        get_shape_calculator("SklearnSimpleImputer"),
        _impute,
        overwrite=True,
    )
    register("Sklearn", classifier, [HistGradientBoostingClassifier], [])
    register("Sklearn", regressor, [], [HistGradientBoostingRegressor])
    tree_ensemble.add_node = add_whole
    sklearn_threshold = tree_ensemble.sklearn_threshold
    tree_ensemble.sklearn_threshold = _float32_at_most
    try:
        yield
    finally:
        tree_ensemble.add_node, tree_ensemble.sklearn_threshold = add_node, sklearn_threshold


def register(
    prefix: str, convert: Any, classifiers: Sequence[Any], regressors: Sequence[Any]
) -> None:
    """Make skl2onnx convert a library's estimators inside a pipeline, by the converter of onnxmltools."""
    switch = [True, False]
    zipmap = {"nocl": switch, "raw_scores": switch, "zipmap": [*switch, "columns"]}
    for estimators, shape, options in (
        (classifiers, shapes.calculate_linear_classifier_output_shapes, zipmap),
        (
            regressors,
            shapes.calculate_linear_regressor_output_shapes,
            {"split": None, "raw_scores": switch},
        ),
    ):
        for estimator in estimators:
            name = f"{prefix}{estimator.__name__}"
            update_registered_converter(
                estimator, name, shape, convert, overwrite=True, options=options
            )


def _impute(scope: Any, operator: Any, container: Any) -> None:
    """Replace NaN by a number in float64, which ONNX's own imputer has not."""
    numbers, missing = (
        np.asarray(operator.raw_operator.statistics_),
        operator.raw_operator.missing_values,
    )
    if (
        not isinstance(operator.inputs[0].type, DoubleTensorType)
        or not (isinstance(missing, float) and np.isnan(missing))
        or numbers.dtype.kind != "f"
        or np.isnan(numbers).any()
    ):
        convert_sklearn_imputer(scope, operator, container)
        return
    rows = concatenate_variables(scope, operator.inputs, container)
    by, mask = map(scope.get_unique_variable_name, ("statistics", "missing"))
    container.add_initializer(by, TensorProto.DOUBLE, [1, len(numbers)], numbers)
    container.add_node("IsNaN", rows, mask, op_version=13)
    container.add_node("Where", [mask, by, rows], operator.outputs[0].full_name, op_version=9)


def _float32_at_most(threshold: float, *_: Any) -> np.float64:
    """The largest float32 that is not above a threshold: x ≤ both or neither, for each x in float32."""
    nearest = np.float32(threshold)
    if nearest > threshold:
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    return np.float64(nearest)


def cast_around_trees(model: Any) -> None:
    """Cast the inputs and outputs of tree ensembles in a graph of float64.

    Ensembles whose thresholds are float32 take float32, as the originals do, and all answer float32, where
    skl2onnx expects what went in.
    """
    outputs = {output.name: output for output in model.graph.output}
    nodes: list[Any] = []
    for number, node in enumerate(model.graph.node):
        if not node.op_type.startswith("TreeEnsemble"):
            nodes.append(node)
            continue
        if all(attribute.name != "nodes_values_as_tensor" for attribute in node.attribute):
            narrow = f"{node.input[0]}_float_{number}"
            nodes.append(helper.make_node("Cast", node.input[:1], [narrow], to=TensorProto.FLOAT))
            node.input[0] = narrow
        nodes.append(node)
        name = node.output[-1]
        if name in outputs:
            outputs[name].type.tensor_type.elem_type = TensorProto.FLOAT
        else:
            node.output[-1] = f"{name}_float"
            nodes.append(helper.make_node("Cast", node.output[-1:], [name], to=TensorProto.DOUBLE))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
