"""A plain FastAPI application with the model. DEVICE_SECONDS holds a request, as an accelerator would."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from fastapi import FastAPI
from flights_onnx import Flights
from pydantic import BaseModel

DEVICE_SECONDS = float(os.environ.get("DEVICE_SECONDS", "0"))


class Rows(BaseModel):
    """The rows of a request."""

    instances: list[dict[str, Any]]


class Predictions(BaseModel):
    """The label and its probability for each row."""

    predictions: list[dict[str, Any]]


def build_app() -> FastAPI:
    """The application; Ray Serve builds it in each replica."""
    app = FastAPI(title="flights")
    model = Flights()

    @app.post("/predict")
    async def predict(rows: Rows) -> Predictions:
        if DEVICE_SECONDS:
            await asyncio.sleep(DEVICE_SECONDS)
        return Predictions(predictions=model.predict(rows.instances))

    return app
