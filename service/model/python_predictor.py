"""A predictor in Python, in the threads of the replica's slots."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.predictions import Prediction
from tidegate.service.model.predictor import Predictor
from tidegate.service.model.predictor_code import import_from, load_predictor
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.python_results import ResultError, listed
from tidegate.service.request_errors import Detail, RequestError
from tidegate.serving import code_location

WRONG_RESULT: Final = "predictor_result"
"""The error type of a request for which the predictor returned something invalid."""


class PythonPredictor(Predictor):
    """Calls the predictor in the calling thread; several threads may call it at once.

    Raises:
        ArtefactError: it cannot be loaded from `app_dir`.
    """

    def __init__(
        self, signature: Signature, app_dir: Path, reference: Reference | None = None
    ) -> None:
        super().__init__(signature, reference)
        import_from(app_dir)
        self._name = signature.predictor
        self._predictor = load_predictor(signature.predictor)

    def predict(self, batch: Any) -> Prediction:
        """Predict each row.

        Raises:
            RequestError: 500, it raised or returned something invalid; the text has no value of the request.
        """
        name, rows = self._name, batch.rows
        try:
            results = self._predictor.predict(rows)
        except BaseException as error:  # noqa: BLE001  also SystemExit, which must not end the thread
            # Without the text of the exception: it may contain values of the request.
            kind, where = type(error).__name__, code_location(error.__traceback__)
            message = f"predict of {name} raised {kind}{f' ({where})' if where else ''}"
            raise _failure(f"{message}: see that line", kind) from None
        try:
            found: Prediction = self.task.from_results(listed(results, len(rows)))
        except ResultError as error:
            raise _failure(f"predict of {name} {error}", WRONG_RESULT) from None
        except Exception as error:  # noqa: BLE001  of a type of its own, which may fail when it is read
            kind = type(error).__name__
            message = f"predict of {name} returned something that cannot be read ({kind})"
            raise _failure(message, WRONG_RESULT) from None
        return found


def _failure(message: str, kind: str) -> RequestError:
    return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, Detail(("model",), message, kind))
