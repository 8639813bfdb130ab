"""The bodies: what a request is validated by, and what the OpenAPI document shows.

The values of a model's inputs are of any type here: its inputs validate them, and `narrowed` documents them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from tidegate.service.model.features import MAX_DETAILS, MAX_ROWS
from tidegate.service.model.tensor_spec import MAX_AXES, Datatype
from tidegate.service.model.work import MEDIUM_ROWS, Work
from tidegate.service.request_errors import PROTOCOL, Detail, Loc, RequestError

BODY: Final[Loc] = ("body",)
UNSUPPORTED: Final = {
    "shared_memory_region": "shared memory is not supported: send the values in the body",
    "classification": "the classification extension is not supported: request one of the model's outputs",
}
"""The parameters of the Open Inference Protocol that are refused, and what to do instead."""
MAX_TENSORS: Final = 16_384
"""Largest number of inputs, and of outputs, in a request: each takes about 1 KB of memory."""
BodyT = TypeVar("BodyT", bound=BaseModel)


def validated(kind: type[BodyT], value: object) -> BodyT:
    """A parsed body.

    Raises:
        RequestError: 422, or 400 if it does not follow the Open Inference Protocol; it names each fault.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        details = [_detail(fault) for fault in faults[:MAX_DETAILS]]
        if issubclass(kind, InferenceRequest):
            details = [Detail(each.loc[1:] or BODY, each.msg, PROTOCOL) for each in details]
            raise RequestError(400, *details) from None
        raise RequestError(422, *details) from None


def _detail(fault: Mapping[str, Any]) -> Detail:
    """A fault of a body, in the words of JSON."""
    loc, message, kind = (*BODY, *fault["loc"]), fault["msg"], fault["type"]
    if kind == "model_type":
        return Detail(loc, "Input should be an object", "dict_type")
    if kind == "extra_forbidden":
        return Detail(loc, "Unknown field", kind)
    return Detail(loc, message.removeprefix("Value error, "), kind)


class Named(BaseModel, extra="forbid"):
    """An object without other fields.

    Pydantic would make a fault of each unknown field: 100,000 in a body of 1 MiB take 50 MB and 0.2 s. For
    the same reason the lists here `fail_fast`: faults of 350,000 items take 800 MB and 4 s.
    """

    @model_validator(mode="before")
    @classmethod
    def _refuse_more(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > len(cls.model_fields):
            expected = " and ".join(f"`{name}`" for name in cls.model_fields)
            raise ValueError(f"Unknown fields; expected no others than {expected}")
        return value


class Request(Named):
    """Instances to predict."""

    instances: Any
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


class Outcome(Named):
    """The true label of a prediction."""

    # An id of another type is refused alone, beside the labels that are accepted.
    prediction_id: Annotated[Any, WithJsonSchema({"type": "string"})] = Field(
        description="As in the response of /predict"
    )
    label: Any = Field(
        validation_alias=AliasChoices("label", "value"),
        description="The true label; it may be named `value`, as a regressor's prediction",
    )


class Feedback(Named):
    """True labels."""

    outcomes: list[Outcome] = Field(min_length=1, max_length=MAX_ROWS, fail_fast=True)


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


class TensorParameters(BaseModel):
    """The parameters of an input or an output."""

    shared_memory_region: SkipJsonSchema[Any] = None

    @field_validator(*UNSUPPORTED, check_fields=False)
    @classmethod
    def _refuse(cls, _: object, info: ValidationInfo) -> None:
        raise ValueError(UNSUPPORTED[str(info.field_name)])


class InputParameters(TensorParameters):
    """The parameters of an input."""

    binary_data_size: int | None = Field(None, strict=True, ge=0)


class InferenceInput(BaseModel):
    """An input of the model; its values are in `data`, or follow the JSON as raw bytes."""

    name: str
    datatype: Datatype
    shape: list[Annotated[int, Field(strict=True, ge=1)]] = Field(
        min_length=1,
        max_length=MAX_AXES,
        fail_fast=True,
        description="The rows first, at most 4096",
    )
    # Of any type: a list would be copied, and its values are validated by the model's inputs.
    data: Annotated[Any, WithJsonSchema({"type": "array", "items": {}})] = None
    parameters: InputParameters | None = None


class OutputParameters(TensorParameters):
    """The parameters of an output."""

    binary_data: bool | None = Field(None, strict=True)
    classification: SkipJsonSchema[Any] = None


class InferenceOutput(BaseModel):
    """An output that the response should have."""

    name: str
    parameters: OutputParameters | None = None


class InferenceParameters(BaseModel):
    """The parameters of a request."""

    work: Work | None = None
    binary_data_output: bool | None = Field(None, strict=True)


class InferenceRequest(BaseModel):
    """A request of the Open Inference Protocol."""

    id: str | None = None
    inputs: list[InferenceInput] = Field(min_length=1, max_length=MAX_TENSORS, fail_fast=True)
    outputs: list[InferenceOutput] | None = Field(None, max_length=MAX_TENSORS, fail_fast=True)
    parameters: InferenceParameters | None = None


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
