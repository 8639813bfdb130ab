"""The response of `/predict`: its prediction ids, its size and its body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import Final

import numpy as np
import orjson
from starlette.types import Receive, Scope, Send

from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.service.model.loaded_model import Model
from tidegate.service.request_errors import Detail, Loc, RequestError
from tidegate.service.serving.model_service import BatchResult
from tidegate.telemetry import request_ids

MAX_VALUES: Final = 65_536
"""Largest number of values in a response: 1.3 MB of JSON, 5 ms of the event loop."""


JSON: Final = (b"content-type", b"application/json")


@dataclass(slots=True)
class Answer:
    """A response as an ASGI application; Starlette's takes three times as long."""

    content: bytes
    after: Callable[[], None] | None = None  # what to do when it is sent
    headers: Sequence[tuple[bytes, bytes]] = (JSON,)  # without its length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        headers = [(b"content-length", b"%d" % len(self.content)), *self.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.content})
        if self.after is not None:
            self.after()


def make_prediction_ids(
    model: Model, result: BatchResult, signer: PredictionIds | None
) -> list[str]:
    """The prediction id of each row; none if no true label is defined for the model."""
    if signer is None:
        return []
    return model.task.sign(signer, time_ns() // 1000, _request_ids(), result.prediction)


def check_row_count(model: Model, rows: int, names: Sequence[str] | None, loc: Loc) -> None:
    """Refuse a request whose response would be too large, before prediction.

    Without names of outputs, that of `/predict`; `loc` is where the request has its rows.

    Raises:
        RequestError: 422, naming the largest accepted number of rows.
    """
    task = model.task
    width = task.answer_width if names is None else task.width(names)
    if rows * width <= MAX_VALUES:
        return
    fitting = MAX_VALUES // width
    remedy = f"send at most {fitting} rows" if fitting else "name fewer outputs"
    message = (
        f"{rows} rows of these outputs are {rows * width} values; at most {MAX_VALUES} are returned in "
        f"one response: {remedy}"
    )
    raise RequestError(422, Detail(loc, message, "too_long"))


def check_answer_size(
    model: Model, result: BatchResult, names: Sequence[str] | None, loc: Loc
) -> None:
    """Refuse a response that is too large, for outputs whose size the model does not say in advance.

    Raises:
        RequestError: 422, naming the number of values.
    """
    if not model.task.has_dynamic_outputs:
        return
    values = sum(
        np.size(value)
        for name, value in model.task.tensors(result.prediction).items()
        if names is None or name in names
    )
    if values > MAX_VALUES:
        message = (
            f"The outputs of these rows are {values} values; at most {MAX_VALUES} are returned in one "
            "response: send fewer rows, or smaller ones"
        )
        raise RequestError(422, Detail(loc, message, "too_long"))


def encode(model: Model, result: BatchResult, prediction_ids: Sequence[str]) -> bytes:
    """The body, as JSON."""
    manifest = model.manifest
    answers = model.task.answers(result.prediction)
    for answer, prediction_id in zip(answers, prediction_ids, strict=False):
        answer["prediction_id"] = prediction_id
    return orjson.dumps(
        {
            "predictions": answers,
            "model": {"name": manifest.name, "version": manifest.version},
            "work": result.work,
            "device": result.device,
            "trace_id": _request_ids()[0],
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _request_ids() -> tuple[str, str]:
    """The trace id and the span id of the request."""
    ids = request_ids()
    assert ids is not None  # noqa: S101 (it is called within a request)
    return ids
