"""Pydantic models of the bodies, for the OpenAPI document alone.

They validate no request: `body.py` and the model's inputs do.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from tidegate.service.http.v2_tensors import DATATYPES
from tidegate.service.model.features import MAX_ROWS
from tidegate.service.model.work import MEDIUM_ROWS, Work


class Request(BaseModel, extra="forbid"):
    """Instances to predict."""

    instances: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_ROWS)
    work: Work | None = Field(
        None,
        description="The kind of the request, which sets the time on a simulated device; "
        f"by default 1 row is light, up to {MEDIUM_ROWS} are medium, more are heavy",
    )


class ModelVersion(BaseModel):
    """The model that made the predictions."""

    name: str
    version: str


class Response(BaseModel):
    """The predictions of a request."""

    predictions: list[Any] = Field(description="One per instance, in order")
    model: ModelVersion
    work: Work
    device: Literal["cpu", "simulated"] = Field(
        description="simulated: the slot was in use for a set time, as on an accelerator"
    )
    trace_id: str = Field(description="Finds the events and spans of the request")


class Outcome(BaseModel, extra="forbid"):
    """The true label of a prediction."""

    prediction_id: str = Field(description="As in the response of /predict")
    label: Any = Field(
        description="The true label; it may be named `value`, as a regressor's prediction"
    )


class Feedback(BaseModel, extra="forbid"):
    """True labels."""

    outcomes: list[Outcome] = Field(min_length=1, max_length=MAX_ROWS)


class ErrorDetail(BaseModel):
    """One fault in a request."""

    loc: list[str | int] = Field(description="Path to the value: body, instances, row, feature")
    msg: str
    type: str


class Errors(BaseModel):
    """The body of an error."""

    detail: list[ErrorDetail]


class RefusedLabel(ErrorDetail):
    """A label that was not accepted, and the reason."""

    status: int


class FeedbackReport(BaseModel):
    """The number of labels accepted and refused."""

    accepted: int
    refused: int
    detail: list[RefusedLabel]


class Tensor(BaseModel):
    """An input of the model; its values are in `data`, or follow the JSON as raw bytes."""

    name: str
    datatype: str = Field(json_schema_extra={"enum": list(DATATYPES)})
    shape: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="The rows first, at most 4096"
    )
    data: list[Any] = []
    parameters: dict[str, Any] | None = None


class RequestedOutput(BaseModel):
    """An output that the response should have."""

    name: str
    parameters: dict[str, Any] | None = None


class InferenceRequest(BaseModel):
    """A request of the Open Inference Protocol."""

    id: str | None = None
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[RequestedOutput] | None = None
    parameters: dict[str, Any] | None = None


class ProtocolError(BaseModel):
    """The body of an error of the Open Inference Protocol."""

    error: str = Field(description="What is wrong, and where")


def narrowed(base: type[BaseModel], **types: Any) -> type[BaseModel]:
    """The model with narrower types of some of its fields."""
    fields: dict[str, Any] = {name: (kind, base.model_fields[name]) for name, kind in types.items()}
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields)


def with_example(base: type[BaseModel], example: dict[str, Any]) -> type[BaseModel]:
    """The model with an example in its schema."""
    config = ConfigDict(json_schema_extra={"examples": [example]})
    contents = {"__doc__": base.__doc__, "__module__": __name__, "model_config": config}
    return type(base.__name__, (base,), contents)
