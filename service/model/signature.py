"""The signature of a model: what it takes, what it answers, and what runs it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tidegate.service.model.features import Feature
from tidegate.service.model.tensor_spec import TensorSpec

TaskName: TypeAlias = Literal["classification", "regression", "values"]
InputName: TypeAlias = Literal["matrix", "columns", "tensors", "rows"]


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
    """What the model takes: one matrix of the features; an input of shape [rows, 1] per feature; the inputs
    in `tensors`; or, without a graph, the instances as the request has them."""
    datatype: Literal["FP32", "FP64"] = "FP32"
    """The type of the numbers in the matrix, or in the inputs per feature."""
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
    Empty: the last one."""
    runtime: Literal["onnx", "python", "original"] = "onnx"
    """What runs the model: ONNX Runtime, `predictor`, or the library of the model file in the artefact."""
    predictor: str = ""
    """The predictor class as `package.module:Class`, if the runtime is `python`."""

    @property
    def dtype(self) -> type[np.floating[Any]]:
        """The type of the numbers in the matrix; a model in Python gets those of the request."""
        return np.float64 if self.datatype == "FP64" or self.runtime != "onnx" else np.float32

    @model_validator(mode="after")
    def _consistent(self) -> Signature:
        if (self.input == "rows") != (self.runtime != "onnx"):
            raise ValueError("a model in Python takes rows, and no graph does")
        for what, names in {
            "features": [feature.name for feature in self.features],
            "classes": [str(label) for label in self.classes],
        }.items():
            if len(set(names)) < len(names):
                raise ValueError(f"two {what} have the same name")
        return self
