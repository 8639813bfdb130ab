"""A double of Kibana's API, which accepts and records what it gets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NEWER = "Document belongs to a more recent version of Kibana [10.5.0]"
IMPORT = "/api/saved_objects/_import"


@dataclass
class FakeKibana:
    """The parts of Kibana's API that are used. It is ready after `starting` responses.

    The status is that of elastic/kibana, src/core/packages/status/server-internal/src/routes/status.ts:
    200 with the overall level `available` or `degraded`, 503 with `unavailable` or `critical`.

    Attributes:
        changes: each request that changes something, with its body; for an import, its objects.
    """

    url: str = ""
    starting: int = 0
    level: str = "available"
    version: str | None = "9.2.8"
    login: str = ""
    drop: str = ""
    hang: str = ""
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    import_response: dict[str, Any] | None = None
    changes: list[tuple[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.path
        if path == self.drop and request.transport is not None:
            request.transport.abort()
        if path == self.hang:
            await asyncio.sleep(60)  # longer than the timeout of the client
        if path in self.refuse:
            return _error(*self.refuse[path])
        return self._status() if path == "/api/status" else await self._post(request)

    def _status(self) -> web.Response:
        if self.starting:
            self.starting -= 1
            if self.starting % 2:
                return web.Response(text="Kibana server is not ready yet.", status=503)
            return web.json_response({"status": {"overall": {"level": "unavailable"}}}, status=503)
        version = {} if self.version is None else {"version": {"number": self.version}}
        status = {**version, "status": {"overall": {"level": self.level}}}
        code = 200 if self.level in {"available", "degraded"} else 503
        return web.json_response(status, status=code)

    async def _post(self, request: web.Request) -> web.Response:
        if "kbn-xsrf" not in request.headers:
            return _error(400, "Request must contain a kbn-xsrf header.")
        if self.login not in {"", request.headers.get("Authorization")}:
            return _error(401, "Unauthorized")
        if request.path != IMPORT:
            self.changes.append((request.path, await request.json()))
            return web.json_response({})
        part: Any = await (await request.multipart()).next()
        if part.name != "file" or not part.filename.endswith(".ndjson"):
            return _error(400, "Invalid file extension")
        objects = [json.loads(line) for line in (await part.read()).splitlines()]
        self.changes.append((request.path_qs, objects))
        accepted = {"success": True, "successCount": len(objects)}
        return web.json_response(accepted if self.import_response is None else self.import_response)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
