"""A small FastAPI application that knows nothing of Tidegate. Tests copy it, and change its version."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI

VERSION = "1.0"
app = FastAPI(title="shop", version=VERSION)


@app.get("/quote/{item}")
async def quote(item: str, seconds: float = 0.0) -> dict[str, Any]:
    await asyncio.sleep(min(seconds, 5.0))
    return {"item": item, "price": 100 * len(item), "version": VERSION}
