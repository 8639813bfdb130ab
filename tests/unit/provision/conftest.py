"""Something that answers as a recorded Elasticsearch did, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from support.recorded_requests import Recorded
from tidegate.settings import Settings, load


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            path = unquote(urlsplit(self.path).path)
            status, answer = made.answer(f"{self.command} {path}", body)
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Nothing: a test's output is its own."""

    for method in ("GET", "PUT", "POST"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def settings(recorded: Recorded, tmp_path: Path) -> Settings:
    """Settings by which the recorded one is set up."""
    (tmp_path / "elastic").write_text("bootstrap-password\n")
    return load(
        store={"elasticsearch": {"url": recorded.url}},
        provision={"secrets_dir": tmp_path, "start_seconds": 60},
    )
