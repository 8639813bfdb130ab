"""Instances as the request has them, for a model in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegate.service.model.features import (
    INSTANCES,
    MAX_DETAILS,
    Matrix,
    Schema,
    checked_length,
    not_an_object,
)
from tidegate.service.model.inputs.matrix import INPUTS, FeatureInputs, columns_of
from tidegate.service.model.signature import Signature
from tidegate.service.model.tensor_spec import Tensor
from tidegate.service.request_errors import RequestError, protocol_error


@dataclass(frozen=True, slots=True)
class RowBatch:
    """The instances of a request."""

    rows: list[dict[str, Any]]
    matrix: Matrix
    """Their features, if the model names them; else without columns."""

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows)


class RowInputs(FeatureInputs[RowBatch]):
    """Any JSON objects, or those of the features that the signature names."""

    parse_in_thread = True

    def __init__(self, signature: Signature) -> None:
        super().__init__(signature)
        self._schema = Schema(self.features, self.dtype) if self.features else None

    def read(self, instances: object) -> RowBatch:
        """Check that each instance is an object, and has the features if the signature names any."""
        rows = checked_length(instances)
        if self._schema is not None:
            return RowBatch(rows, self._schema.encode(rows))
        wrong = [number for number, row in enumerate(rows) if not isinstance(row, dict)]
        if wrong:
            raise RequestError(422, *(not_an_object(INSTANCES, at) for at in wrong[:MAX_DETAILS]))
        return RowBatch(rows, np.empty((len(rows), 0), np.float32))

    def read_tensors(self, tensors: Sequence[Tensor]) -> RowBatch:
        """Rows of the features; a model without features takes no tensors."""
        if self._schema is None:
            raise protocol_error("", "this model takes JSON objects: POST them to /predict")
        columns = columns_of(self._schema, tensors)
        matrix = self._schema.encode_columns(columns, INPUTS)
        rows = [
            dict(zip(self._schema.names, row, strict=True)) for row in zip(*columns, strict=True)
        ]
        return RowBatch(rows, matrix)

    def matrix(self, batch: RowBatch) -> Matrix:
        """The features."""
        return batch.matrix

    def instances(self, batch: RowBatch) -> list[dict[str, Any]]:
        """The instances themselves, with what they may lack."""
        return [{f.name: row.get(f.name) for f in self.features} for row in batch.rows]

    def instance_type(self) -> Any:
        """An object: with a field for each feature if any is named, else of anything."""
        return super().instance_type() if self.features else dict[str, Any]
