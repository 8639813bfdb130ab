"""The model as a runtime of MLServer: the Open Inference Protocol, one tensor of encoded rows."""

from __future__ import annotations

from flights_onnx import Flights
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class FlightsRuntime(MLModel):
    """The flights model."""

    async def load(self) -> bool:
        """Load the model."""
        self._flights = Flights()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The label and its probability for each row."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        found = self._flights.run(rows.astype("float32", copy=False))
        import numpy as np  # noqa: PLC0415  after MLServer, which sets its threads

        return InferenceResponse(
            model_name=self.name,
            outputs=[
                StringCodec.encode_output("label", [each["label"] for each in found]),
                NumpyCodec.encode_output(
                    "probability", np.array([[each["probability"]] for each in found], np.float32)
                ),
            ],
        )
