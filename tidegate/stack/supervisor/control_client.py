"""The client of the control socket of a running supervisor."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tidegate.runtime.unix_sockets import unix_address
from tidegate.stack.replicas.release import ADMISSION_SECONDS, Release, ReleaseRefusedError
from tidegate.stack.supervisor.status import StackStatus

TIMEOUT_SECONDS: Final = 5.0
ACCEPTED: Final = 202
REFUSED: Final = 409


class ControlError(RuntimeError):
    """The supervisor does not answer on its control socket. The text says why."""


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, seconds: float = TIMEOUT_SECONDS) -> None:
        super().__init__("supervisor", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with unix_address(self._path) as address:
            self.sock.connect(address)


def fetch_status(path: Path) -> StackStatus:
    """Fetch the stack's status.

    Raises:
        ControlError: the supervisor does not answer.
    """
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/status")
        return StackStatus.model_validate_json(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValidationError) as error:
        raise ControlError(f"{path} does not answer: {error}") from error
    finally:
        connection.close()


def request_deploy(path: Path, artefact: Path | None) -> Release:
    """Request the rollout of an artefact at an absolute path, or else of the code that is on disk now.

    It returns the release as soon as it is admitted.

    Raises:
        ReleaseRefusedError: it is not admitted; nothing is changed.
        ControlError: the supervisor does not answer.
    """
    connection = _UnixConnection(path, ADMISSION_SECONDS + TIMEOUT_SECONDS)
    try:
        connection.request("PUT", "/model", json.dumps({"path": str(artefact)} if artefact else {}))
        response = connection.getresponse()
        body = response.read()
        if response.status == REFUSED:
            raise ReleaseRefusedError(json.loads(body)["error"])
        if response.status != ACCEPTED:
            raise ControlError(f"{path} answers {response.status}: {body.decode(errors='replace')}")
        return Release.model_validate_json(body)
    except (OSError, http.client.HTTPException, ValidationError) as error:
        raise ControlError(f"{path} does not answer: {error}") from error
    finally:
        connection.close()
