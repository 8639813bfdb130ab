"""Named tensors: what a model takes and answers as such, and those of a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

Datatype: TypeAlias = Literal[
    "BOOL",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
"""The types of the Open Inference Protocol; BYTES are strings."""

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "BOOL": np.dtype("?"),
}
"""The numpy type of each datatype but BYTES, as its raw bytes are in the protocol."""
BYTES: Final = "BYTES"
"""The datatype of strings."""
DYNAMIC: Final = -1
"""The size of an axis that differs between requests."""
MAX_AXES: Final = 8
"""Largest number of axes of a tensor."""


class TensorSpec(BaseModel):
    """The name, the type and the shape of a tensor."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    """Its name in the graph, and its key in an instance or in an answer."""
    datatype: Datatype
    """The type of its values."""
    shape: tuple[int, ...] = Field(min_length=1, max_length=MAX_AXES)
    """Its axes, the rows first: -1, or 1 for a graph that takes one row at a time. Of the other axes, -1 is
    one whose size differs between requests."""
    description: str = ""
    """Its meaning, for the API documentation."""

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of this shape is one, whatever its number of rows."""
        return len(shape) == len(self.shape) and all(
            size in {DYNAMIC, found} for size, found in zip(self.shape[1:], shape[1:], strict=True)
        )


class Tensor(NamedTuple):
    """A tensor of a request. A frozen dataclass takes twice as long to create."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any] | npt.NDArray[Any]
    """In row-major order: an array if they came as raw bytes; strings are `str`."""

    @property
    def rows(self) -> int:
        """Its first dimension."""
        return self.shape[0]
