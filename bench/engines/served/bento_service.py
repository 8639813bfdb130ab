"""The model in a BentoML service, with its own API: an async method, one worker."""

from __future__ import annotations

from typing import Any

import bentoml
from flights_onnx import Flights


@bentoml.service(workers=1)
class FlightsService:
    """The flights model."""

    def __init__(self) -> None:
        self.model = Flights()

    @bentoml.api(route="/predict")
    async def predict(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The label and its probability for each row."""
        return self.model.predict(instances)
