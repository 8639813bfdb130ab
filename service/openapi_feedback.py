"""The API's description of `POST /feedback`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from service.artefact import Manifest
from service.features import MAX_ROWS

JSON: Final = "application/json"
_REFUSED: Final = {
    "207": "Some labels were taken; `detail` says why not the others",
    "403": "No label was taken: the ids are not signed by this service",
    "404": "No label was taken: the ids are of a model of another name or with other classes",
    "409": "No label was taken: they are counted already",
    "410": "No label was taken: the predictions are too old",
}


def feedback_path(errors: Mapping[str, str]) -> dict[str, Any]:
    """The operation; `errors` are the statuses that every path has, with their meaning."""
    report = {JSON: {"schema": {"$ref": "#/components/schemas/FeedbackReport"}}}
    fault = {JSON: {"schema": {"$ref": "#/components/schemas/Errors"}}}
    return {
        "summary": "Tell how predictions turned out",
        "tags": ["model"],
        "operationId": "feedback",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Feedback"}}},
        },
        "responses": {
            "200": {"description": "All labels were taken", "content": report},
            **{
                status: {"description": text, "content": report}
                for status, text in _REFUSED.items()
            },
            **{status: {"description": text, "content": fault} for status, text in errors.items()},
        },
    }


def feedback_schemas(manifest: Manifest) -> dict[str, Any]:
    """What goes in and comes out."""
    texts = all(isinstance(label, str) for label in manifest.classes)
    label = {
        "type": "string" if texts else "integer",
        "enum": list(manifest.classes),
        "description": "What it turned out to be",
    }
    outcome = {
        "type": "object",
        "additionalProperties": False,
        "required": ["prediction_id", "label"],
        "properties": {
            "prediction_id": {"type": "string", "description": "As /predict gave it"},
            "label": label,
        },
    }
    refusal = {
        "type": "object",
        "required": ["status", "loc", "msg", "type"],
        "properties": {
            "status": {"type": "integer"},
            "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
            "msg": {"type": "string"},
            "type": {"type": "string"},
        },
    }
    return {
        "Feedback": {
            "type": "object",
            "additionalProperties": False,
            "required": ["outcomes"],
            "properties": {
                "outcomes": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_ROWS,
                    "items": outcome,
                }
            },
        },
        "FeedbackReport": {
            "type": "object",
            "required": ["accepted", "refused", "detail"],
            "properties": {
                "accepted": {"type": "integer"},
                "refused": {"type": "integer"},
                "detail": {"type": "array", "items": refusal},
            },
        },
    }
