"""A tensor of a request: its name, its type, its shape and its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor.

    Attributes:
        name: the name of the input.
        datatype: its type, as the Open Inference Protocol names it.
        shape: its dimensions.
        values: its values in row-major order: an array if they came as raw bytes; strings are `str`.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any] | npt.NDArray[Any]

    @property
    def rows(self) -> int:
        """Its first dimension."""
        return self.shape[0]
