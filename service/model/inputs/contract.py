"""The contract of a model's inputs: how a request becomes a batch, and a batch becomes the graph's inputs.

A batch is what a request's rows are encoded as; `len` of it is the number of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Sized
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from tidegate.service.model.features import INSTANCES, Feature, Matrix
from tidegate.service.model.signature import Signature
from tidegate.service.model.tensor_spec import Tensor, TensorSpec
from tidegate.service.request_errors import Loc

BatchT = TypeVar("BatchT", bound=Sized)


class Inputs(ABC, Generic[BatchT]):
    """The inputs of a model.

    Args:
        signature: what the model takes.

    Attributes:
        tensors: its inputs in the Open Inference Protocol; empty if it has none there.
        features: the features that are counted for drift, in the order of `matrix`'s columns.
        parse_in_thread: whether a long body is parsed in a thread, as it takes long.
        may_not_fit: whether valid inputs may not suit the graph, whose failure is then the request's error.
        max_axes: largest number of axes of an input tensor.
    """

    tensors: tuple[TensorSpec, ...]
    features: tuple[Feature, ...] = ()
    parse_in_thread: ClassVar[bool] = False
    may_not_fit: ClassVar[bool] = False
    max_axes: ClassVar[int] = 2

    @abstractmethod
    def __init__(self, signature: Signature) -> None: ...

    @abstractmethod
    def read(self, instances: object, loc: Loc = INSTANCES) -> BatchT:
        """Validate and encode the instances of a request.

        Args:
            instances: the JSON value; a list of objects if valid.
            loc: its location in the request.

        Raises:
            RequestError: 422, naming each invalid value.
        """

    @abstractmethod
    def read_tensors(self, tensors: Sequence[Tensor]) -> BatchT:
        """Validate and encode the tensors of a request.

        Args:
            tensors: at least one, each with at most `MAX_ROWS` rows and the values that its shape needs.

        Raises:
            RequestError: 400 or 422, naming the invalid input.
        """

    def feeds(self, batch: BatchT) -> list[dict[str, npt.NDArray[Any]]]:
        """The inputs of each call of the ONNX graph: one, unless it takes one row at a time."""
        raise NotImplementedError

    @abstractmethod
    def placeholder(self, size: int) -> BatchT:
        """One row of zeros, to try the model with.

        Args:
            size: the size of an axis that differs between requests.
        """

    @abstractmethod
    def resize(self, batch: BatchT, rows: int) -> BatchT:
        """The batch with this number of rows, repeated as needed."""

    @abstractmethod
    def differences(self, other: Signature) -> list[str]:
        """What a client of this model would have to change for another one."""

    @abstractmethod
    def example(self, batch: BatchT) -> dict[str, Any] | None:
        """A valid instance, for the documentation; None if it is too long to show.

        Args:
            batch: rows that the model has predicted.
        """

    @abstractmethod
    def instance_type(self) -> Any:
        """The type of an instance, for the OpenAPI document."""

    def graph_inputs(self, types: Mapping[str, str]) -> None:
        """Take the inputs of the graph: ONNX Runtime's name of the type of each.

        Raises:
            ValueError: the graph has other inputs than the signature says.
        """

    def matrix(self, batch: BatchT) -> Matrix:
        """The rows as a matrix of `features`, to count for drift; without columns if there are none."""
        return np.empty((len(batch), 0), np.float32)
