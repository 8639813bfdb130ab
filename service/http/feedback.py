"""`POST /feedback`: true labels of earlier predictions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from time import time_ns
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from tidegate.monitoring.feedback.outcomes import OutcomeRefusedError, Reason, event_message
from tidegate.service.http import body_types
from tidegate.service.http.body import headers_of, parse_json, read_body
from tidegate.service.http.body_types import BODY, validated
from tidegate.service.request_errors import Detail
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


class Feedback:
    """The endpoint of one replica, for labels of the predictions of its model."""

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
        outcomes = validated(body_types.Feedback, parse_json(body)).outcomes
        refused: list[tuple[int, Detail]] = []
        for number, entry in enumerate(outcomes):
            if number and number % BLOCK_OUTCOMES == 0:
                await asyncio.sleep(0)
            try:
                outcome = processor.accept(entry.prediction_id, entry.label, time_ns() // 1000)
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


def status_of(accepted: int, refusals: list[int]) -> int:
    """200 if all are accepted, 207 if some; else their common status, or 422 if it differs."""
    if not refusals:
        return HTTPStatus.OK
    if accepted:
        return HTTPStatus.MULTI_STATUS
    return refusals[0] if len(set(refusals)) == 1 else HTTPStatus.UNPROCESSABLE_ENTITY
