"""The last output and events of one program, from its own files, without the store."""

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
# The fields of an error event with its cause: an exception's message, or a reason.
REASON_FIELDS: Final = ("message", "reason")


def last_decisions(logs: Path, count: int) -> list[Entry]:
    """The autoscaler's last decisions that changed the number of replicas, and its problems, oldest first."""
    found = []
    for event in _last_events(logs, AUTOSCALER):
        try:
            decision, level = event.get("tidegate", {}).get("decision"), event["log"]["level"]
            action = decision["reason"] if decision else event["event"]["action"]
            at = datetime.fromisoformat(event["@timestamp"]).timestamp()
            message = str(event["message"])
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
        if not decision or action in {"up", "down"}:
            found.append(Entry(at, level, AUTOSCALER, action, message))
    return found[-count:]


def recent_output(output: Path, logs: Path, node: str, start: int = 0, since: float = 0.0) -> str:
    """The end of a program's raw output, and its last error events.

    The programs of this name before it wrote the output up to the byte `start`, and their events into files
    that are older than the time `since`; one of a stack that is being replaced still writes.
    """
    errors, raw = [], tail(output, start=start)
    for event in _last_events(logs, node, since):
        try:
            if event["log"]["level"] == "error":
                fields = {**event.get("tidegate", {}), **event.get("error", {})}
                causes = [str(fields[name]) for name in REASON_FIELDS if name in fields]
                if any(cause and cause in raw for cause in causes):
                    continue  # the program printed it as well
                cause = ", ".join(causes)
                errors.append(f"{event['message']}: {cause}" if cause else str(event["message"]))
        except (KeyError, TypeError, AttributeError):
            continue
    return "\n".join(filter(None, [raw, *errors[-MAX_ERRORS:]]))


def _last_events(logs: Path, node: str, since: float = 0.0) -> list[dict[str, Any]]:
    found = [path for path in logs.glob(f"{node}.*.*.ndjson") if _started(path) >= since]
    files = sorted(found, key=_changed)
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
        return None  # the first line of a tail is usually incomplete


def _started(path: Path) -> float:
    """When the writer of a file with the name `<node>.<start in ms>-<pid>.<number>.ndjson` has started."""
    start = path.name.rsplit(".", 3)[1].partition("-")[0]
    return int(start) / 1000 if start.isdecimal() else 0.0


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it was delivered and deleted after it was listed
        return 0.0
