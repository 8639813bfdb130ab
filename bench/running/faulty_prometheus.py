"""A proxy of Prometheus that injects faults, and an autoscaler that reads through it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, Self

import aiohttp
import orjson
from aiohttp import web

from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import environment

Fault = Literal["gone", "nan", "frozen"]
RATE = "service:arrival_rate:15s"


class FaultyPrometheus:
    """Forwards queries to Prometheus and the responses back, with a fault while `kind` is set.

    Attributes:
        kind: the fault; None: no fault.
        queries: the number of queries received.
        arrival_rate: of the last response without a fault; 0 if there was none.
    """

    def __init__(self, prometheus: str, port: int) -> None:
        self.kind: Fault | None = None
        self.queries = 0
        self.arrival_rate = 0.0
        self.url = f"http://127.0.0.1:{port}"
        self._prometheus = prometheus
        self._port = port
        self._last: dict[str, Any] = {}
        self._session: aiohttp.ClientSession
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0))
        app = web.Application()
        app.router.add_get("/api/v1/{what}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _forward(self, request: web.Request) -> web.Response:
        self.queries += 1
        if self.kind == "gone":
            if request.transport:
                request.transport.abort()
            return web.Response(status=503)
        if self.kind == "frozen":
            return web.json_response(_with_current_times(self._last))
        async with self._session.get(f"{self._prometheus}{request.rel_url}") as response:
            body, status = await response.read(), response.status
        if status != 200:
            return web.Response(status=status, body=body)
        found = orjson.loads(body)
        if self.kind == "nan":
            return web.json_response(_with_nan(found))
        self._last = found
        for one in found["data"]["result"]:
            if one["metric"].get("__name__") == RATE:
                self.arrival_rate = float(one["values"][-1][1])
        return web.json_response(found)


def _with_nan(response: dict[str, Any]) -> dict[str, Any]:
    """The response with every value NaN."""
    for one in response["data"]["result"]:
        one["values"] = [[at, "NaN"] for at, _ in one["values"]]
    return response


def _with_current_times(response: dict[str, Any]) -> dict[str, Any]:
    """The same values with current times."""
    newest = max(one["values"][-1][0] for one in response["data"]["result"])
    by = time.time() - newest
    result = [
        {**one, "values": [[at + by, value] for at, value in one["values"]]}
        for one in response["data"]["result"]
    ]
    return {**response, "data": {**response["data"], "result": result}}


@asynccontextmanager
async def autoscaler(settings: Settings, prometheus: str) -> AsyncIterator[None]:
    """Run the autoscaler of a stack as a process, with another address of Prometheus."""
    layout = Layout(settings.stack.data_dir)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidegate", "autoscaler"),
        *("--resizer", f"unix:{layout.socket}", "--prometheus", prometheus),
        env=environment(settings, os.environ, layout.data / "autoscaler.toml"),
        cwd=Path.cwd(),
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        code = await process.wait()
        if code:
            sys.exit(f"the autoscaler ended with {code}")
