"""An ONNX graph in ONNX Runtime, on one thread."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.model.predictor import Predictor
from tidegate.service.model.signature import Signature
from tidegate.service.request_errors import Detail, RequestError

MAX_REASON_CHARACTERS: Final = 300
"""Some messages of ONNX Runtime have the values of a tensor."""


class OnnxPredictor(Predictor):
    """A loaded graph: the content of an ONNX file, or its path. Thread-safe."""

    def __init__(
        self, graph: bytes | str, signature: Signature, reference: Reference | None = None
    ) -> None:
        super().__init__(signature, reference)
        options = onnxruntime.SessionOptions()
        # One thread per request: slots provide the parallelism, and a pool would spin on the CPU of others.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        self.inputs.graph_inputs({each.name: each.type for each in self._session.get_inputs()})
        # A classifier of skl2onnx has the label and then the probabilities, a regressor only the value. Only
        # the probabilities are asked for: computing the label in the graph costs more than argmax.
        last = self._session.get_outputs()[-1].name
        self._outputs = [each.name for each in signature.outputs] or [signature.output or last]

    def predict(self, batch: Any) -> Any:
        """Predict each row.

        Raises:
            RequestError: 422, the graph cannot run on tensors of such sizes or values.
        """
        feeds = self.inputs.feeds(batch)
        try:
            if len(feeds) == 1:
                return self.task.from_graph(self._session.run(self._outputs, feeds[0]))
            parts = [self._session.run(self._outputs, feed) for feed in feeds]
            return self.task.from_graph([_joined(arrays) for arrays in zip(*parts, strict=True)])
        # The exceptions of ONNX Runtime have no common base class.
        except Exception as error:
            if not self.inputs.may_not_fit:
                raise
            reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS]
            message = f"The model cannot run on these tensors: {reason}"
            raise RequestError(422, Detail(("inputs",), message, "model_input")) from None


def _joined(arrays: tuple[npt.NDArray[Any], ...]) -> npt.NDArray[Any]:
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(
            "its outputs have different shapes for these rows: send one row per request"
        )
    return np.concatenate(arrays)
