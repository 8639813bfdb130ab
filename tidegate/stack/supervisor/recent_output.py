"""The last events of one program, from its own event files: no store is needed for that."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from tidegate.runtime.event_log import Entry
from tidegate.stack.processes.process import tail

AUTOSCALER: Final = "autoscaler"
TAIL_BYTES: Final = 256 * 1024
MAX_ERRORS: Final = 5
# Where an error event says why: an exception's message, or the reason that the program gave.
REASON_FIELDS: Final = ("message", "reason")


def last_decisions(logs: Path, count: int) -> list[Entry]:
    """The autoscaler's last decisions that changed the number, oldest first."""
    found = []
    for event in _last_events(logs, AUTOSCALER):
        try:
            reason = event["tidegate"]["decision"]["reason"]
            at = datetime.fromisoformat(event["@timestamp"]).timestamp()
            message = str(event["message"])
        except (KeyError, TypeError, ValueError):
            continue
        if reason in {"up", "down"}:
            entry = Entry(at=at, level="info", component=AUTOSCALER, action=reason, message=message)
            found.append(entry)
    return found[-count:]


def recent_output(output: Path, logs: Path, node: str) -> str:
    """What a program that ended said: the end of its raw output, and its last errors as events."""
    errors, raw = [], tail(output)
    for event in _last_events(logs, node):
        try:
            if event["log"]["level"] == "error":
                told = {**event.get("tidegate", {}), **event.get("error", {})}
                more = ", ".join(str(told[name]) for name in REASON_FIELDS if name in told)
                if more and more in raw:
                    continue  # a reason that it printed as well
                errors.append(f"{event['message']}: {more}" if more else str(event["message"]))
        except (KeyError, TypeError, AttributeError):
            continue
    return "\n".join(filter(None, [raw, *errors[-MAX_ERRORS:]]))


def _last_events(logs: Path, node: str) -> list[dict[str, Any]]:
    files = sorted(logs.glob(f"{node}.*.ndjson"), key=_changed)
    if not files:
        return []
    try:
        with files[-1].open("rb") as file:
            file.seek(max(0, files[-1].stat().st_size - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    return [event for line in lines if isinstance(event := _read(line), dict)]


def _read(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return None  # the first line of a tail is mostly cut


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # delivered and deleted since it was listed
        return 0.0
