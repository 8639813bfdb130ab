"""`POST /feedback`: true labels of earlier predictions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from time import time_ns
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tidegate.monitoring.feedback.outcomes import (
    Outcome,
    OutcomeRefusedError,
    Reason,
    event_message,
)
from tidegate.monitoring.feedback.processor import FeedbackProcessor
from tidegate.service.http.body import BODY, headers_of, parse_json, read_body
from tidegate.service.model.features import MAX_ROWS
from tidegate.service.request_errors import Detail, RequestError
from tidegate.service.serving.model_service import ModelService
from tidegate.telemetry import annotate, fail

OUTCOMES: Final = (*BODY, "outcomes")
STATUS: Final[Mapping[Reason, int]] = {
    "malformed": HTTPStatus.UNPROCESSABLE_ENTITY,
    "forged": HTTPStatus.FORBIDDEN,
    "expired": HTTPStatus.GONE,
    "replayed": HTTPStatus.CONFLICT,
    "foreign_version": HTTPStatus.NOT_FOUND,
    "unknown_label": HTTPStatus.UNPROCESSABLE_ENTITY,
}
BLOCK_OUTCOMES: Final = 64
"""Outcomes processed before the event loop runs other requests; 4096 take 110 ms."""
_FIELDS: Final = ({"prediction_id", "label"}, {"prediction_id", "value"})


class Feedback:
    """The endpoint of one replica.

    Args:
        service: the model that made the predictions.
    """

    def __init__(self, service: ModelService) -> None:
        self._service = service
        self._write_event = service.replica.telemetry.write_event

    async def post(self, request: Request) -> Response:
        """Accept each valid label, and report why each of the others is refused."""
        model, processor = self._service.model(), self._service.feedback()
        body = await read_body(
            headers_of(request.scope),
            request.receive,
            self._service.settings.gateway.request_bytes,
        )
        outcomes = read_outcomes(parse_json(body))
        refused: list[tuple[int, Detail]] = []
        for number, entry in enumerate(outcomes):
            if number and number % BLOCK_OUTCOMES == 0:
                await asyncio.sleep(0)
            try:
                outcome = accept(processor, entry)
            except OutcomeRefusedError as refusal:
                name = "label" if refusal.reason == "unknown_label" else "prediction_id"
                detail = Detail((*OUTCOMES, number, name), str(refusal), refusal.reason)
                refused.append((STATUS[refusal.reason], detail))
                continue
            fields, event_id = outcome.fields(model.manifest.name), outcome.prediction.outcome_id
            self._write_event("outcome", event_message(fields), fields, event_id=event_id)
        accepted = len(outcomes) - len(refused)
        annotate(feedback={"accepted": accepted, "refused": len(refused)})
        if refused and not accepted:
            fail(refused[0][1].type, refused[0][1].recorded)
        details = [{"status": status, **detail.as_json()} for status, detail in refused]
        report = {"accepted": accepted, "refused": len(refused), "detail": details}
        status = status_of(accepted, [status for status, _ in refused])
        return Response(orjson.dumps(report), status, media_type="application/json")


def read_outcomes(body: object) -> list[Any]:
    """The outcomes in the body of a request.

    Raises:
        RequestError: 422, naming each invalid field.
    """
    outcomes = body.get("outcomes") if isinstance(body, dict) else None
    if not isinstance(body, dict) or set(body) - {"outcomes"}:
        message = "Input should be an object with the single field `outcomes`"
        raise RequestError(422, Detail(BODY, message, "dict_type"))
    if not isinstance(outcomes, list) or not outcomes:
        message = "Input should be a list of at least one outcome"
        raise RequestError(422, Detail(OUTCOMES, message, "list_type"))
    if len(outcomes) > MAX_ROWS:
        message = f"At most {MAX_ROWS} outcomes are accepted in one request, got {len(outcomes)}"
        raise RequestError(422, Detail(OUTCOMES, message, "too_long"))
    for number, entry in enumerate(outcomes):
        if not isinstance(entry, dict) or set(entry) not in _FIELDS:
            message = (
                "Input should be an object with the fields `prediction_id` and `label`; `value` is the same "
                "as `label`"
            )
            raise RequestError(422, Detail((*OUTCOMES, number), message, "dict_type"))
    return outcomes


def accept(processor: FeedbackProcessor, entry: Mapping[str, Any]) -> Outcome:
    """Process one outcome.

    Raises:
        OutcomeRefusedError: its label is not counted.
    """
    # /predict names what a regressor predicts `value`, and that is what its clients send back.
    label = entry["value"] if "value" in entry else entry["label"]
    return processor.accept(entry["prediction_id"], label, time_ns() // 1000)


def status_of(accepted: int, refusals: list[int]) -> int:
    """200 if all are accepted, 207 if some; else their common status, or 422 if it differs."""
    if not refusals:
        return HTTPStatus.OK
    if accepted:
        return HTTPStatus.MULTI_STATUS
    return refusals[0] if len(set(refusals)) == 1 else HTTPStatus.UNPROCESSABLE_ENTITY
