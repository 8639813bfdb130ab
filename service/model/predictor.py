"""The predictor: an ONNX graph in ONNX Runtime, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from tidegate.service.model.artefact import ONNX, Artefact, ArtefactError
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.predictions import Classification

DECIMALS: Final = 6
"""Significant decimals of a probability; responses are rounded to them."""
MATRIX_INPUT: Final = "features"
"""Name of the input of a graph with one matrix."""


class Predictor:
    """A loaded graph. Thread-safe.

    Args:
        graph: the content of the ONNX file, or its path.
        features: the features, in the order of the matrix.
        columns: whether the graph has an input per feature instead of one matrix.
    """

    def __init__(
        self,
        graph: bytes | str,
        features: Sequence[Feature],
        *,
        columns: bool = False,
    ) -> None:
        options = onnxruntime.SessionOptions()
        # One thread per request: slots provide the parallelism, and a pool would spin on the CPU of others.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        # Only the second output: computing the first one, the label, costs more than argmax.
        self._probabilities = self._session.get_outputs()[1].name
        self._features = tuple(features)
        self._columns = columns
        self._categories = [np.array(f.categories, dtype=object) for f in features]

    def predict(self, matrix: Matrix) -> Classification:
        """Predict each row of a matrix from `Schema.encode`."""
        feed = self._by_column(matrix) if self._columns else {MATRIX_INPUT: matrix}
        (probabilities,) = self._session.run([self._probabilities], feed)
        # On a tie scikit-learn predicts the first class. In float32 tied probabilities differ by a few 1e-8,
        # so they are rounded first.
        return Classification(probabilities.round(DECIMALS).argmax(axis=1), probabilities)

    def _by_column(self, matrix: Matrix) -> dict[str, npt.NDArray[Any]]:
        feed: dict[str, npt.NDArray[Any]] = {}
        for position, feature in enumerate(self._features):
            column = matrix[:, position : position + 1]
            if feature.kind == "category":
                feed[feature.name] = self._categories[position][column.astype(np.intp)]
            else:
                feed[feature.name] = np.ascontiguousarray(column)
        return feed


def load_predictor(artefact: Artefact) -> Predictor:
    """The predictor of an artefact, after a warm-up call.

    Raises:
        ArtefactError: ONNX Runtime cannot run it.
    """
    manifest = artefact.manifest
    file = artefact.path / ONNX
    try:
        predictor = Predictor(str(file), manifest.features, columns=manifest.input == "columns")
        predictor.predict(np.zeros((1, len(manifest.features)), dtype=np.float32))
    # ONNX Runtime's exceptions have no common base.
    except Exception as error:
        raise ArtefactError(f"{file} cannot be run by ONNX Runtime: {error}") from error
    return predictor
