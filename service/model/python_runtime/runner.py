"""A loaded predictor, called with the rows of one request."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tidegate.service.model.predictions import Prediction
from tidegate.service.model.python_runtime.code import import_from, load_predictor
from tidegate.service.model.signature import Signature
from tidegate.service.model.tasks.python_results import ResultError, listed
from tidegate.service.model.tasks.registry import make_task
from tidegate.service.request_errors import Detail, RequestError
from tidegate.serving import code_location

WRONG_RESULT: Final = "predictor_result"
"""The error type of a request for which the predictor returned something invalid."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request has no prediction: a sentence without any value of the request, and an error type."""

    message: str
    type: str

    def error(self) -> RequestError:
        """The error response: 500."""
        detail = Detail(("model",), self.message, self.type)
        return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


class Runner:
    """Calls a predictor, in any thread.

    Args:
        signature: what it takes and answers; `predictor` is its import string.
        app_dir: the folder to import it from.

    Raises:
        PredictorError: it cannot be loaded.
    """

    def __init__(self, signature: Signature, app_dir: Path) -> None:
        import_from(app_dir)
        self._name, self._task = signature.predictor, make_task(signature)
        self._predictor = load_predictor(signature.predictor)

    def predict(self, rows: list[dict[str, Any]]) -> Prediction | Failure:
        """The prediction of rows, or why there is none. Never raises."""
        name = self._name
        try:
            results = self._predictor.predict(rows)
        except BaseException as error:  # noqa: BLE001  also SystemExit, which must not end the thread
            # Without the text of the exception: it may contain values of the request.
            kind, where = type(error).__name__, code_location(error.__traceback__)
            message = f"predict of {name} raised {kind}{f' ({where})' if where else ''}"
            return Failure(f"{message}: see that line", kind)
        try:
            found: Prediction = self._task.from_results(listed(results, len(rows)))
        except ResultError as error:
            return Failure(f"predict of {name} {error}", WRONG_RESULT)
        except Exception as error:  # noqa: BLE001  of a type of its own, which may fail when it is read
            kind = type(error).__name__
            message = f"predict of {name} returned something that cannot be read ({kind})"
            return Failure(message, WRONG_RESULT)
        return found
