"""The status of a stack of a test, as `tidegate status --json` prints it, without a process for each look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.stack.data_folder import Layout
from tidegate.stack.supervisor.control_client import ControlError, fetch_status


def stack_status(data: Path) -> dict[str, Any]:
    """The status; of a stack that has ended or does not answer, its state alone."""
    layout = Layout(data)
    if layout.holder() is None:
        return {"state": "stopped"}
    try:
        return fetch_status(layout.socket).model_dump(mode="json")
    except ControlError:
        return {"state": "silent"}
