"""What runs a model, with the inputs and the task that its signature names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.inputs.matrix import ColumnInputs, MatrixInputs
from tidegate.service.model.inputs.rows import RowInputs
from tidegate.service.model.inputs.tensors import TensorInputs
from tidegate.service.model.signature import InputName, Signature, TaskName
from tidegate.service.model.tasks.classification import ClassificationTask
from tidegate.service.model.tasks.contract import Task
from tidegate.service.model.tasks.json_values import JsonValuesTask
from tidegate.service.model.tasks.regression import RegressionTask
from tidegate.service.model.tasks.values import ValuesTask

INPUTS: Final[dict[InputName, type[Inputs[Any]]]] = {
    "matrix": MatrixInputs,
    "columns": ColumnInputs,
    "tensors": TensorInputs,
    "rows": RowInputs,
}
TASKS: Final[dict[TaskName, type[Task[Any]]]] = {
    "classification": ClassificationTask,
    "regression": RegressionTask,
    "values": ValuesTask,
}


def make_inputs(signature: Signature) -> Inputs[Any]:
    """The inputs of a model."""
    return INPUTS[signature.input](signature)


def make_task(signature: Signature, reference: Reference | None = None) -> Task[Any]:
    """The task of a model; its reference has the width of a regressor's interval."""
    if signature.task == "values" and signature.runtime == "python":
        return JsonValuesTask(signature, reference)
    return TASKS[signature.task](signature, reference)


class Predictor(ABC):
    """What runs a model, by its signature and by what was measured at training. Thread-safe."""

    def __init__(self, signature: Signature, reference: Reference | None = None) -> None:
        self.inputs: Final = make_inputs(signature)
        self.task: Final = make_task(signature, reference)

    @abstractmethod
    def predict(self, batch: Any) -> Any:
        """Predict each row of a batch of `inputs`; returns a prediction of `task`.

        Raises:
            RequestError: there is no prediction of these rows.
        """
