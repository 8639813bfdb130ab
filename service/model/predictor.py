"""What runs a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.inputs.registry import make_inputs
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.registry import make_task


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
