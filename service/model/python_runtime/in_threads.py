"""A predictor in the threads of the replica's slots."""

from __future__ import annotations

from typing import Any

from tidegate.service.model.artefact import Artefact, ArtefactError
from tidegate.service.model.inputs.contract import Inputs
from tidegate.service.model.predictions import Prediction
from tidegate.service.model.predictor import Predictor
from tidegate.service.model.python_runtime.code import PredictorError
from tidegate.service.model.python_runtime.hosting import Hosting
from tidegate.service.model.python_runtime.runner import Runner
from tidegate.service.model.tasks.contract import Task


class ThreadPredictor(Predictor):
    """Calls the predictor in the calling thread; several threads may call it at once.

    Args:
        artefact: its artefact.
        inputs: what it takes.
        task: what it answers.
        hosting: the folder to import it from.

    Raises:
        ArtefactError: it cannot be loaded.
    """

    def __init__(
        self, artefact: Artefact, inputs: Inputs[Any], task: Task[Any], hosting: Hosting
    ) -> None:
        super().__init__(inputs, task)
        try:
            self._runner = Runner(artefact.manifest, hosting.app_dir)
        except PredictorError as error:
            raise ArtefactError(str(error)) from error

    def predict(self, batch: Any) -> Prediction:
        """Predict each row.

        Raises:
            RequestError: 500, it raised or returned something invalid.
        """
        return self._runner.predict(batch.rows)
