"""An HTTP server with recorded responses of Elasticsearch, which records the requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from support.doubles.aiohttp_server import serving


@dataclass
class RecordedElasticsearch:
    """Responses by `METHOD /path`; of a list, each request takes the next, and the last one repeats."""

    responses: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    url: str = ""

    def respond(self, request: str, body: Any) -> tuple[int, Any]:
        self.requests.append((request, body))
        found = self.responses.get(request, (400, {"error": f"no handler found for {request}"}))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return found if isinstance(found, tuple) else (200, found)

    def changes(self) -> list[tuple[str, Any]]:
        return [(request, body) for request, body in self.requests if not request.startswith("GET")]


@contextmanager
def serve_recorded() -> Iterator[RecordedElasticsearch]:
    """Serve the recorded responses on a free port."""
    recorded = RecordedElasticsearch()

    async def answer(request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        recorded.logins.append(request.headers.get("Authorization", ""))
        status, response = recorded.respond(f"{request.method} {request.path}", body)
        product = {"X-Elastic-Product": "Elasticsearch"}
        return web.json_response(response, status=status, headers=product)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    with serving(app) as recorded.url:
        yield recorded
