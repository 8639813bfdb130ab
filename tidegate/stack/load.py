"""Load for a stack: the command and the arguments of the load generator."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from tidegate.settings import Settings
from tidegate.stack.supervisor.programs import url

ROWS: Final = "samples.ndjson"
"""The file of an artefact with rows that the model accepts."""


def gateway(settings: Settings) -> str:
    """The URL that gets the load."""
    return url(settings.stack.host, settings.gateway.port)


def load_arguments(settings: Settings, scenario: str, out: Path) -> list[str]:
    """Those of a run against the gateway, beside `request_arguments`."""
    return [
        *("run", scenario, "--url", gateway(settings), "--out", str(out)),
        *("--prometheus", url(settings.stack.host, settings.prometheus.port)),
        *("--slo", str(settings.slo.latency_seconds)),
    ]


def request_arguments(settings: Settings, body: Path, path: str = "/") -> list[str]:
    """What is sent: the rows that came with the model, or the request of `verify.path` and `verify.body`.

    The caller writes the file with the body. Without `verify.path` an application of one's own gets `path`.
    """
    verify, rows = settings.verify, settings.model.path / ROWS
    if not settings.replica_program and rows.is_file():
        return ["--rows", str(rows)]
    if verify.body:
        return ["--path", verify.path or path, "--body", str(body)]
    if verify.path or settings.replica_program:
        return ["--method", "GET", "--path", verify.path or path]
    return []


def load_command(settings: Settings, scenario: str) -> str:
    """The command that sends load from a terminal."""
    requests = request_arguments(settings, Path("body.json"))
    words = ["tidegate", "loadgen", "run", scenario, "--url", gateway(settings), *requests]
    written = f"printf %s {shlex.quote(settings.verify.body)} > body.json && "
    return (written if "--body" in requests else "") + shlex.join(words)
