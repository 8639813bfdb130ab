"""The server process of the model service."""

from __future__ import annotations

from tidegate.service.http.app import create_app
from tidegate.serving import serve
from tidegate.settings import Settings


def run(settings: Settings, *, host: str, port: int) -> None:
    """Serve until a signal arrives and every request has its response.

    Raises:
        PortInUseError: the address is in use or cannot be opened.
        ReplicaFailedError: the model cannot be served; the text gives the reason and the file.
    """
    app = create_app(settings)
    serve(app.state.replica, host=host, port=port, websockets=False)
