"""The contract of a model's inputs: how a request becomes a batch, and a batch becomes the graph's inputs.

A batch is what a request's rows are encoded as; `len` of it is the number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Sized
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate.service.model.features import Feature, Matrix, Schema
from tidegate.service.model.signature import Signature
from tidegate.service.model.tensor_spec import Tensor, TensorSpec

BatchT = TypeVar("BatchT", bound=Sized)


class Inputs(ABC, Generic[BatchT]):
    """The inputs of a model."""

    tensors: tuple[TensorSpec, ...]
    """Its inputs in the Open Inference Protocol; empty if it has none there."""
    features: tuple[Feature, ...] = ()
    """The features that are counted for drift, in the order of `matrix`'s columns."""
    parse_in_thread: ClassVar[bool] = False
    """Whether a long body is parsed in a thread, as it takes long."""
    may_not_fit: ClassVar[bool] = False
    """Whether valid inputs may not suit the graph, whose failure is then the request's error."""

    @abstractmethod
    def __init__(self, signature: Signature) -> None: ...

    @abstractmethod
    def read(self, instances: object) -> BatchT:
        """Validate and encode the instances of a request, a JSON value.

        Raises:
            RequestError: 422, naming each invalid value.
        """

    @abstractmethod
    def read_tensors(self, tensors: Sequence[Tensor]) -> BatchT:
        """Validate and encode the tensors of a request.

        Raises:
            RequestError: 400 or 422, naming the invalid input.
        """

    @abstractmethod
    def differences(self, other: Signature) -> list[str]:
        """What a client of this model would have to change for another one."""

    @abstractmethod
    def example(self, batch: BatchT) -> dict[str, Any] | None:
        """A valid instance, for the documentation, of rows that were predicted; None if it is too long."""

    @abstractmethod
    def instance_type(self) -> Any:
        """The type of an instance, for the OpenAPI document."""

    def matrix(self, batch: BatchT) -> Matrix:
        """The rows as a matrix of `features`, to count for drift; without columns if there are none."""
        return np.empty((len(batch), 0), np.float32)

    def instances(self, batch: BatchT) -> list[dict[str, Any]]:
        """The rows as instances of `features`."""
        return Schema(self.features).decode(self.matrix(batch))

    # What follows is for a graph: a predictor in Python takes the rows as they are.

    def graph_inputs(self, types: Mapping[str, str]) -> None:
        """Take the inputs of the graph: ONNX Runtime's name of the type of each."""

    def feeds(self, batch: BatchT) -> list[dict[str, npt.NDArray[Any]]]:
        """The inputs of each call of the graph: one, unless it takes one row at a time."""
        raise NotImplementedError

    def placeholder(self, size: int) -> BatchT:
        """One row of zeros, with axes of this size where it differs between requests."""
        raise NotImplementedError

    def resize(self, batch: BatchT, rows: int) -> BatchT:
        """The batch with this number of rows, repeated as needed."""
        raise NotImplementedError
