"""The API's description, made from the manifest: each feature with its type, range and meaning."""

from __future__ import annotations

from typing import Any, Final

from service import VERSION
from service.artefact import Manifest
from service.features import MAX_ROWS, Feature
from service.openapi_feedback import feedback_path, feedback_schemas
from service.replica import MEDIUM_ROWS, WORKS

JSON: Final = "application/json"
_ERRORS: Final = {
    "400": "The body is not JSON, or does not follow the protocol",
    "405": "The path takes another method",
    "413": "The body is too large",
    "415": "The body's type or encoding is not taken",
    "422": "A value is wrong; each one is named",
    "503": "No slot became free in time, or the model is not loaded; see Retry-After",
}


def feature_schema(feature: Feature) -> dict[str, Any]:
    """JSON schema of one feature's value."""
    plain = {"number": "number", "integer": "integer", "category": "string"}[feature.kind]
    schema: dict[str, Any] = {"type": [plain, "null"] if feature.missing else plain}
    words = feature.description or feature.name
    if feature.unit:
        words += f" [{feature.unit}]"
    if feature.observed:
        words += f"; {feature.observed[0]:g} to {feature.observed[1]:g} in training"
    schema["description"] = words
    if feature.minimum is not None:
        schema["minimum"] = feature.minimum
    if feature.maximum is not None:
        schema["maximum"] = feature.maximum
    if feature.categories:
        schema["enum"] = [*feature.categories, *([None] if feature.missing else [])]
    schema["examples"] = [feature.example]
    return schema


def describe(manifest: Manifest | None) -> dict[str, Any]:
    """The OpenAPI document; without the model's part as long as none is loaded."""
    paths: dict[str, Any] = {
        "/live": {"get": _plain("The process runs", probes=("200",))},
        "/ready": {"get": _plain("Requests may be sent", probes=("200", "503"))},
        "/metrics": {
            "get": {
                "summary": "Metrics for Prometheus",
                "tags": ["operation"],
                "responses": {
                    "200": {
                        "description": "OpenMetrics or Prometheus text",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    }
                },
            }
        },
    }
    protocol_error = {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string", "description": "What is wrong, and where"}},
    }
    schemas: dict[str, Any] = {"Errors": _errors_schema(), "ProtocolError": protocol_error}
    if manifest is not None:
        own = {
            "/predict": {"post": _predict(manifest)},
            "/feedback": {"post": feedback_path(_ERRORS)},
        }
        paths = own | paths | _protocol_paths(manifest)
        schemas |= _model_schemas(manifest) | feedback_schemas(manifest)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.name if manifest else "Tidegate model service",
            "version": manifest.version if manifest else VERSION,
            "description": manifest.description if manifest else "The model is not loaded yet.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _model_schemas(manifest: Manifest) -> dict[str, Any]:
    texts = all(isinstance(label, str) for label in manifest.classes)
    return {
        "Instance": {
            "type": "object",
            "additionalProperties": False,
            "required": [f.name for f in manifest.features if not f.missing],
            "properties": {f.name: feature_schema(f) for f in manifest.features},
        },
        "Request": {
            "type": "object",
            "additionalProperties": False,
            "required": ["instances"],
            "properties": {
                "instances": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_ROWS,
                    "items": {"$ref": "#/components/schemas/Instance"},
                },
                "work": {
                    "enum": [*WORKS, None],
                    "description": "The kind of the request, which a simulated device goes by; "
                    f"left out: 1 row is light, up to {MEDIUM_ROWS} are medium, more are heavy",
                },
            },
            "examples": [{"instances": [manifest.example]}],
        },
        "Answer": {
            "type": "object",
            "required": ["predictions", "model", "work", "device", "trace_id"],
            "properties": {
                "predictions": {
                    "type": "array",
                    "description": "One for each instance, in order",
                    "items": {
                        "type": "object",
                        "required": ["label", "probability", "prediction_id"],
                        "properties": {
                            "label": {
                                "type": "string" if texts else "integer",
                                "enum": list(manifest.classes),
                            },
                            "probability": {
                                "type": "number",
                                "minimum": 0,
                                "maximum": 1,
                                "description": "The model's probability of this label",
                            },
                            "prediction_id": {
                                "type": "string",
                                "description": "What /feedback needs to take its label, once it is known",
                            },
                        },
                    },
                },
                "model": {
                    "type": "object",
                    "required": ["name", "version"],
                    "properties": {"name": {"type": "string"}, "version": {"type": "string"}},
                },
                "work": {"enum": list(WORKS)},
                "device": {
                    "enum": ["cpu", "simulated"],
                    "description": "simulated: the slot was held for a set time, as an accelerator would",
                },
                "trace_id": {"type": "string", "description": "By which all about it is found"},
            },
        },
    }


def _predict(manifest: Manifest) -> dict[str, Any]:
    return {
        "summary": manifest.description or "Predict",
        "tags": ["model"],
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/Request"}}},
        },
        "responses": {
            "200": {
                "description": "A label and its probability for each instance",
                "content": {JSON: {"schema": {"$ref": "#/components/schemas/Answer"}}},
            },
            **{status: _error(text) for status, text in _ERRORS.items()},
        },
    }


def _protocol_paths(manifest: Manifest) -> dict[str, Any]:
    model = f"/v2/models/{manifest.name}"
    get = {
        "/v2": "Open Inference Protocol: the server",
        "/v2/health/live": "The process runs",
        "/v2/health/ready": "Requests may be sent",
        model: "What the model takes and gives, as tensors",
        f"{model}/ready": "The model may be asked",
        f"{model}/config": "The same in Triton's words",
        f"{model}/stats": "What was answered since the start",
    }
    tag = "inference protocol v2"
    paths: dict[str, Any] = {
        path: {
            "get": _plain(summary, tag=tag, probes=("200", "503") if "ready" in path else ("200",))
        }
        for path, summary in get.items()
    }
    infer = _plain("Predict, with tensors in JSON or raw bytes", tag=tag)
    for status in ("400", "404", "413", "422", "503"):
        text = _ERRORS.get(status, "Unknown model")
        infer["responses"][status] = {
            "description": text,
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/ProtocolError"}}},
        }
    infer["requestBody"] = {
        "required": True,
        "content": {JSON: {"schema": {"type": "object", "required": ["inputs"]}}},
    }
    return paths | {f"{model}/infer": {"post": infer}}


def _plain(
    summary: str, *, tag: str = "operation", probes: tuple[str, ...] = ("200",)
) -> dict[str, Any]:
    body = {"content": {JSON: {"schema": {"type": "object"}}}}
    words = {"200": "Yes", "503": "No"}
    return {
        "summary": summary,
        "tags": [tag],
        "responses": {status: {"description": words[status], **body} for status in probes},
    }


def _error(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Errors"}}},
    }


def _errors_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["loc", "msg", "type"],
                    "properties": {
                        "loc": {
                            "type": "array",
                            "items": {"type": ["string", "integer"]},
                            "description": "Where it stands: body, instances, the row, the feature",
                        },
                        "msg": {"type": "string"},
                        "type": {"type": "string"},
                    },
                },
            }
        },
    }
