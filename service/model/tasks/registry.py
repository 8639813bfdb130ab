"""The class of the task that a signature names."""

from __future__ import annotations

from typing import Any, Final

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.signature import Signature, TaskName
from tidegate.service.model.tasks.classification import ClassificationTask
from tidegate.service.model.tasks.contract import Task
from tidegate.service.model.tasks.json_values import JsonValuesTask
from tidegate.service.model.tasks.regression import RegressionTask
from tidegate.service.model.tasks.values import ValuesTask

TASKS: Final[dict[TaskName, type[Task[Any]]]] = {
    "classification": ClassificationTask,
    "regression": RegressionTask,
    "values": ValuesTask,
}


def make_task(signature: Signature, reference: Reference | None = None) -> Task[Any]:
    """The task of a model; its reference has the width of a regressor's interval."""
    if signature.task == "values" and signature.runtime == "python":
        return JsonValuesTask(signature, reference)
    return TASKS[signature.task](signature, reference)
