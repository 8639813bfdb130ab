"""The signature of a model: what it takes, what it answers, and what runs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tidegate.service.model.features import Feature
from tidegate.service.model.tensor_spec import TensorSpec

TaskName: TypeAlias = Literal["classification", "regression", "values"]
InputName: TypeAlias = Literal["matrix", "columns", "tensors", "rows"]

ANSWER_FIELDS: Final[dict[TaskName, str]] = {
    "classification": "classes",
    "regression": "target",
    "values": "outputs",
}
"""The field that describes the answers of a task; those of other tasks stay empty."""
REQUIRED_ANSWER_FIELDS: Final = frozenset({"classes", "outputs"})


class Target(BaseModel):
    """What a regressor predicts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="value", min_length=1)
    """The name of the predicted quantity."""
    unit: str = ""
    """Its unit."""
    description: str = ""
    """Its meaning, for the API documentation."""


class Signature(BaseModel):
    """What a model takes, what it answers, and what runs it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: TaskName = "classification"
    """What a prediction is: a class and its probability, a number, or any named outputs."""
    input: InputName = "matrix"
    """What the model takes: one float32 matrix of the features; an input of shape [rows, 1] per feature; the
    inputs in `tensors`; or, only for the runtime `python`, the instances as the request has them."""
    features: tuple[Feature, ...] = ()
    """The features, in the order of the matrix; none if the input is `tensors`."""
    tensors: tuple[TensorSpec, ...] = ()
    """The inputs, if `input` is `tensors`."""
    classes: tuple[str | int, ...] = ()
    """The classes of a classifier, in the order of the probabilities."""
    target: Target | None = None
    """What a regressor predicts."""
    outputs: tuple[TensorSpec, ...] = ()
    """The outputs of a model whose task is `values`."""
    output: str = ""
    """The graph's output of the probabilities [rows, classes] or of a regressor's values [rows] or [rows, 1].
    Empty: the last one of up to two."""
    runtime: Literal["onnx", "python"] = "onnx"
    """What runs the model: ONNX Runtime, or `predictor`."""
    predictor: str = ""
    """The predictor class as `package.module:Class`, if the runtime is `python`."""

    @model_validator(mode="after")
    def _inputs_are_complete(self) -> Signature:
        _refuse_duplicates("features", (feature.name for feature in self.features))
        _refuse_duplicates("tensors", (tensor.name for tensor in self.tensors))
        if (self.input == "rows") != (self.runtime == "python"):
            raise ValueError(
                f"the runtime `python` takes the input `rows`, and only that one; "
                f"the input is `{self.input}` and the runtime `{self.runtime}`"
            )
        if self.input == "tensors" and not self.tensors:
            raise ValueError("the input `tensors` needs at least one tensor")
        if self.input != "tensors" and self.tensors:
            raise ValueError(f"the input `{self.input}` has features, not tensors")
        if self.input == "tensors" and self.features:
            raise ValueError("the input `tensors` has tensors, not features")
        if self.input in {"matrix", "columns"} and not self.features:
            raise ValueError(f"the input `{self.input}` needs at least one feature")
        return self

    @model_validator(mode="after")
    def _answers_are_complete(self) -> Signature:
        own = ANSWER_FIELDS[self.task]
        for task, field in ANSWER_FIELDS.items():
            if field != own and getattr(self, field):
                raise ValueError(f"`{field}` is for the task {task}; the task is {self.task}")
        # A predictor in Python answers any JSON, whose type and shape nobody knows in advance.
        any_json = own == "outputs" and self.runtime == "python"
        if any_json and self.outputs:
            raise ValueError(
                "the runtime `python` answers any JSON as values, and has no `outputs`"
            )
        if own in REQUIRED_ANSWER_FIELDS and not (getattr(self, own) or any_json):
            raise ValueError(f"the task {self.task} needs `{own}`")
        if own == "classes" and len(self.classes) < 2:
            raise ValueError("the task classification needs at least two classes")
        _refuse_duplicates("classes", map(str, self.classes))
        _refuse_duplicates("outputs", (output.name for output in self.outputs))
        return self

    @model_validator(mode="after")
    def _predictor_fits_the_runtime(self) -> Signature:
        if (self.runtime == "python") != bool(self.predictor):
            raise ValueError(
                "the runtime `python` needs a predictor, as `package.module:Class`; no other runtime has one"
            )
        return self


def _refuse_duplicates(what: str, names: Iterable[str]) -> None:
    names = tuple(names)
    if len(set(names)) < len(names):
        raise ValueError(f"two {what} have the same name")
