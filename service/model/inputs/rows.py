"""Instances as the request has them, for a predictor in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from tidegate.service.model.features import (
    INSTANCES,
    MAX_DETAILS,
    Matrix,
    Schema,
    checked_length,
)
from tidegate.service.model.inputs.matrix import FeatureInputs, to_matrix
from tidegate.service.model.signature import Signature
from tidegate.service.model.tensor_spec import Tensor
from tidegate.service.request_errors import Detail, Loc, RequestError, protocol_error


@dataclass(frozen=True, slots=True)
class RowBatch:
    """The instances of a request.

    Attributes:
        rows: the instances.
        matrix: their features, if the model names them; else without columns.
    """

    rows: list[dict[str, Any]]
    matrix: Matrix

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows)


class RowInputs(FeatureInputs[RowBatch]):
    """Any JSON objects, or those of the features that the signature names."""

    parse_in_thread = True

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature)
        self._schema = Schema(self.features) if self.features else None

    def read(self, instances: object, loc: Loc = INSTANCES) -> RowBatch:
        """Check that each instance is an object, and has the features if the signature names any."""
        rows = checked_length(instances, loc)
        if self._schema is not None:
            return RowBatch(rows, self._schema.encode(rows, loc))
        faults = (
            Detail((*loc, number), "Input should be an object", "dict_type")
            for number, row in enumerate(rows)
            if not isinstance(row, dict)
        )
        if details := list(islice(faults, MAX_DETAILS)):
            raise RequestError(422, *details)
        return RowBatch(rows, np.empty((len(rows), 0), np.float32))

    def read_tensors(self, tensors: Sequence[Tensor]) -> RowBatch:
        """Rows of the features; a model without features takes no tensors."""
        if self._schema is None:
            raise protocol_error("", "this model takes JSON objects: POST them to /predict")
        matrix = to_matrix(self._schema, tensors)
        return RowBatch(self._schema.decode(matrix), matrix)

    def placeholder(self, size: int) -> RowBatch:
        """The examples of the features, or an empty object."""
        matrix = np.zeros((1, len(self.features)), np.float32)
        return RowBatch([{feature.name: feature.example for feature in self.features}], matrix)

    def resize(self, batch: RowBatch, rows: int) -> RowBatch:
        """The batch with this number of rows."""
        picked = [batch.rows[i % len(batch)] for i in range(rows)]
        return RowBatch(picked, batch.matrix[np.arange(rows) % len(batch)])

    def matrix(self, batch: RowBatch) -> Matrix:
        """The features."""
        return batch.matrix

    def example(self, batch: RowBatch) -> dict[str, Any]:
        """The example of each feature; the first instance if none is named."""
        return super().example(batch) or batch.rows[0]

    def instance_type(self) -> Any:
        """An object: with a field for each feature if any is named, else of anything."""
        return super().instance_type() if self.features else dict[str, Any]
