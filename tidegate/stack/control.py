"""Asking a running supervisor, from another process."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tidegate.resizer.sockets import unix_address
from tidegate.stack.status import StackStatus

ANSWER_SECONDS: Final = 5.0


class ControlError(RuntimeError):
    """The supervisor does not answer on its control socket. Its text says how."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("supervisor", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with unix_address(self._path) as address:
            self.sock.connect(address)


def ask_status(path: Path) -> StackStatus:
    """The stack's status, from its control socket.

    Raises:
        ControlError: it does not answer.
    """
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/status")
        return StackStatus.model_validate_json(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValidationError) as error:
        raise ControlError(f"{path} does not answer: {error}") from error
    finally:
        connection.close()
