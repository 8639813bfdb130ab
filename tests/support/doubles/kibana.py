"""A double of Kibana's API with the validation of the real one."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NEWER = "Document belongs to a more recent version of Kibana [10.5.0]"


@dataclass
class FakeKibana:
    """The parts of Kibana's API that are used. It is ready after `starting` responses.

    The status is that of elastic/kibana, src/core/packages/status/server-internal/src/routes/status.ts:
    200 with the overall level `available` or `degraded`, 503 with `unavailable` or `critical`.
    """

    url: str = ""
    starting: int = 0
    level: str = "available"
    version: str | None = "9.2.8"
    api_key: str = ""
    drop: str = ""
    hang: str = ""
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    import_response: dict[str, Any] | None = None
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    default: str = ""
    calls: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/api/status", self._status)
        app.router.add_post("/api/data_views/data_view", self._data_view)
        app.router.add_post("/api/data_views/default", self._default)
        app.router.add_post("/api/saved_objects/_import", self._import)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        if request.path == self.drop and request.transport is not None:
            request.transport.abort()
        if request.path == self.hang:
            await asyncio.sleep(60)  # longer than the timeout of the client
        if request.path in self.refuse:
            status, message = self.refuse[request.path]
            return _error(status, message)
        if request.method == "POST" and "kbn-xsrf" not in request.headers:
            return _error(400, "Request must contain a kbn-xsrf header.")
        login = request.headers.get("Authorization", "")
        if request.method == "POST" and self.api_key and login != f"ApiKey {self.api_key}":
            return _error(401, "Unauthorized")
        response: web.StreamResponse = await handler(request)
        return response

    async def _status(self, _: web.Request) -> web.Response:
        if self.starting:
            self.starting -= 1
            if self.starting % 2:
                return web.Response(text="Kibana server is not ready yet.", status=503)
            return web.json_response({"status": {"overall": {"level": "unavailable"}}}, status=503)
        version = {} if self.version is None else {"version": {"number": self.version}}
        status = {
            "overall": {"level": self.level},
            "core": {"savedObjects": {"level": "available"}},
        }
        code = 200 if self.level in {"available", "degraded"} else 503
        return web.json_response({**version, "status": status}, status=code)

    async def _data_view(self, request: web.Request) -> web.Response:
        body = await request.json()
        view = body["data_view"]
        same = [known for known, other in self.views.items() if other["name"] == view["name"]]
        if same and not body.get("override"):
            return _error(400, f"Duplicate data view: {view['name']}")
        for known in same:
            del self.views[known]
        self.views[view["id"]] = view
        self.default = self.default or view["id"]
        return web.json_response({"data_view": view})

    async def _default(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["force"] or not self.default:
            self.default = body["data_view_id"]
        return web.json_response({"acknowledged": True})

    async def _import(self, request: web.Request) -> web.Response:
        part: Any = await (await request.multipart()).next()
        if part.name != "file" or not part.filename.endswith(".ndjson"):
            return _error(400, "Invalid file extension")
        objects = [json.loads(line) for line in (await part.read()).splitlines()]
        if self.import_response is not None:
            return web.json_response(self.import_response)
        fresh = {(one["type"], one["id"]): one for one in objects}
        if len(fresh) < len(objects):
            return _error(400, "Non-unique import objects detected")
        errors = self._errors(fresh, overwrite=request.query.get("overwrite") == "true")
        if errors:
            return web.json_response({"success": False, "successCount": 0, "errors": errors})
        self.objects |= fresh
        return web.json_response({"success": True, "successCount": len(objects)})

    def _errors(
        self, fresh: dict[tuple[str, str], dict[str, Any]], *, overwrite: bool
    ) -> list[dict[str, Any]]:
        present = {("index-pattern", view) for view in self.views} | set(self.objects) | set(fresh)
        errors = []
        for (kind, name), one in fresh.items():
            missing = [
                {"type": each["type"], "id": each["id"]}
                for each in one["references"]
                if (each["type"], each["id"]) not in present
            ]
            if missing:
                reason: dict[str, Any] = {"type": "missing_references", "references": missing}
            elif (kind, name) in self.objects and not overwrite:
                reason = {"type": "conflict"}
            else:
                continue
            errors.append({"type": kind, "id": name, "error": reason})
        return errors


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
