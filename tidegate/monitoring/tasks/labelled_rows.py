"""Rows with a known label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

NO_SEGMENT: Final = ""

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Columns of one length, one element for each labelled row, ordered by the time of the response."""

    answered: Floats
    """The time of the response, in seconds since 1970."""
    predicted: npt.NDArray[Any]
    """Labels, or the values of a regressor."""
    actual: npt.NDArray[Any]
    trace: Texts
    """The trace id of the request."""
    row: npt.NDArray[np.intp]
    """The row's index in the request."""
    known: Mapping[str, Floats]
    """What else the task reads of an outcome, by name; NaN where unknown."""
    segments: Mapping[str, Texts]
    """Values of features, by the feature; `NO_SEGMENT` where unknown."""

    def __len__(self) -> int:
        return len(self.answered)

    def where(self, picked: npt.NDArray[np.bool_]) -> LabelledRows:
        """Some of the rows."""
        return replace(
            self,
            answered=self.answered[picked],
            predicted=self.predicted[picked],
            actual=self.actual[picked],
            trace=self.trace[picked],
            row=self.row[picked],
            known={name: values[picked] for name, values in self.known.items()},
            segments={name: values[picked] for name, values in self.segments.items()},
        )
