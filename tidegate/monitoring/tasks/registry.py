"""The tasks, and that of a model."""

from __future__ import annotations

from typing import Final, Literal

from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.tasks.classification import ClassificationTask
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.regression import RegressionTask
from tidegate.monitoring.tasks.task import Task
from tidegate.settings import Drift

TaskName = Literal["classification", "regression"]

TASKS: Final[dict[TaskName, type[Task]]] = {
    "classification": ClassificationTask,
    "regression": RegressionTask,
}


def make_task(model: Model, drift: Drift) -> Task:
    """The task of a model."""
    return TASKS[task_of(model.reference)](model, drift)


def task_of(reference: Reference) -> TaskName:
    """The name of the task of a model with this reference."""
    bins = reference.prediction
    values = reference.residuals is not None or (bins is not None and bins.kind == "number")
    return "regression" if values else "classification"
