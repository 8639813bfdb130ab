"""A replica whose load and readiness are set by PUT; SIGTERM makes it unready first.

It runs in an empty container with the host's /usr mounted, so it uses the standard library only.
"""

import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

state = {"ready": os.environ.get("REPLICA_READY", "yes") == "yes", "busy": "0"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/ready":
            self.answer(200 if state["ready"] else 503, "")
        else:
            self.answer(200, f"tidegate_slots 4.0\ntidegate_slots_busy {state['busy']}\n")

    def do_PUT(self) -> None:
        _, key, value = self.path.split("/")
        state[key] = value == "yes" if key == "ready" else value
        self.answer(200, "")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def drain(*_: object) -> None:
    state["ready"] = False
    threading.Thread(target=stop, daemon=True).start()


def stop() -> None:
    time.sleep(float(os.environ.get("REPLICA_DRAIN", "0.2")))
    server.shutdown()


server = ThreadingHTTPServer(("0.0.0.0", 8000), Handler)
signal.signal(signal.SIGTERM, drain)
server.serve_forever(0.05)
