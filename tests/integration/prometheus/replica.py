"""An instrumented application with request slots: `python replica.py PORT`."""

import asyncio
import sys

import uvicorn
from fastapi import FastAPI

from tidegate.serving import SlotMetrics
from tidegate.telemetry import instrument

app = FastAPI()
slots = SlotMetrics(instrument(app).registry)
slots.total.set(2)
slots.busy.set(0)


@app.get("/ready")
async def ready() -> None:
    """It is."""


@app.post("/predict")
async def predict() -> None:
    """Work for 20 ms."""
    slots.busy.inc()
    with slots.seconds.time():
        await asyncio.sleep(0.02)
    slots.busy.dec()


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
