"""The model itself: an ONNX graph in ONNX Runtime, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from service.artefact import ONNX, Artefact, ArtefactError
from service.features import Feature, Matrix

DECIMALS: Final = 6
"""Decimals of a probability that mean something; answers are rounded to them."""
MATRIX_INPUT: Final = "features"
"""Name of the graph's input when it takes one matrix."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Answers for a batch.

    Attributes:
        labels: a position in the model's classes for each row.
        probabilities: float32 of shape [rows, classes].
    """

    labels: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float32]

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability of the label given, for each row."""
        picked: npt.NDArray[np.float32] = self.probabilities[
            np.arange(len(self.labels)), self.labels
        ]
        return picked


class Predictor:
    """A loaded model. Safe to call from several threads at once.

    Args:
        graph: the ONNX file's content, or its path.
        features: the features, in the matrix's order.
        columns: whether the graph takes an input a feature instead of one matrix.
    """

    def __init__(
        self,
        graph: bytes | str,
        features: Sequence[Feature],
        *,
        columns: bool = False,
    ) -> None:
        options = onnxruntime.SessionOptions()
        # One thread a request: slots are the parallelism, and a spinning pool would eat the other slot's.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        # The second output; the first, the label, is not asked for: it costs more than argmax.
        self._probabilities = self._session.get_outputs()[1].name
        self._features = tuple(features)
        self._columns = columns
        self._categories = [np.array(f.categories, dtype=object) for f in features]

    def predict(self, matrix: Matrix) -> Prediction:
        """Answer for each row of a matrix made by `Schema.encode`."""
        feed = self._by_column(matrix) if self._columns else {MATRIX_INPUT: matrix}
        (probabilities,) = self._session.run([self._probabilities], feed)
        # At a tie scikit-learn gives the first class. In float32 ties come out a few 1e-8 apart: rounding
        # makes them ties again.
        return Prediction(probabilities.round(DECIMALS).argmax(axis=1), probabilities)

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
    """The predictor of an artefact, after a first call that makes the next ones as fast as they get.

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
        raise ArtefactError(f"{file} is no model that ONNX Runtime can run: {error}") from error
    return predictor
