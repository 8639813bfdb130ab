"""A FastAPI application that uses Tidegate in the three marked lines only."""

from __future__ import annotations

import logging

from fastapi import FastAPI, HTTPException

from tidegate.telemetry import annotate, get_logger, instrument, span  # 1

app = FastAPI(title="Cake shop", version="4.2")
telemetry = instrument(app)  # 2
log = get_logger("cakes")  # 3


@app.get("/cakes/{name}")
async def cake(name: str) -> dict[str, str]:
    with span("look up", name=name):
        annotate(cake=name)
    if name == "none":
        raise HTTPException(404, "there is no such cake")
    log.info("sold", cake=name)
    return {"cake": name}


@app.post("/orders/{number}")
def order(number: int, lines: list[str]) -> dict[str, int]:
    logging.getLogger("cakes.stock").warning("%d left", 10 - len(lines))
    return {"number": number, "lines": len(lines)}


@app.get("/burnt")
async def burnt() -> None:
    raise RuntimeError("the oven is too hot")
