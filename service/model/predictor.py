"""What runs a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.tasks.contract import Task


class Predictor(ABC):
    """What runs a model. Thread-safe.

    Args:
        inputs: what it takes.
        task: what it answers.
    """

    def __init__(self, inputs: Inputs[Any], task: Task[Any]) -> None:
        self.inputs: Final = inputs
        self.task: Final = task

    @property
    def problem(self) -> str:
        """Why it cannot predict now; empty if it can."""
        return ""

    @abstractmethod
    def predict(self, batch: Any) -> Any:
        """Predict each row of a batch of `inputs`; returns a prediction of `task`.

        Raises:
            RequestError: there is no prediction of these rows.
        """

    def close(self) -> None:  # noqa: B027 (most run in nothing of their own)
        """End what it runs in, if that is its own."""
