"""A FastAPI application that uses Tidegate in the three marked lines only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse

from tidegate.telemetry import annotate, get_logger, instrument, outgoing_headers, span  # 1

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


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def crumbs() -> AsyncIterator[bytes]:
        while True:
            yield b"crumb" * 100
            await asyncio.sleep(0.01)

    return StreamingResponse(crumbs())


@app.get("/headers")
async def headers() -> dict[str, str]:
    return outgoing_headers()


@app.websocket("/talk")
async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text((await socket.receive_text()).upper())
    await socket.close()
