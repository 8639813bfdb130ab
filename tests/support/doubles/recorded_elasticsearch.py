"""An HTTP server with recorded responses of Elasticsearch, which records the requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class RecordedElasticsearch:
    """Responses by `METHOD /path`; of a list, each request takes the next, and the last one repeats."""

    responses: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
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

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = unquote(urlsplit(self.path).path)
            status, response = recorded.respond(f"{self.command} {path}", body)
            text = json.dumps(response).encode()
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    for method in ("GET", "PUT", "POST"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        recorded.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield recorded
        server.shutdown()
        thread.join()
