"""A server without any library: `/ready`, and `/work`, which takes 0.2 s. No metrics, no events."""

from __future__ import annotations

import http.server
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/work":
            time.sleep(0.2)
        self.send_response(200 if self.path in {"/ready", "/work"} else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
