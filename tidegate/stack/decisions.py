"""The autoscaler's last decisions, from its own event files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from tidegate.stack.journal import Entry

NODE: Final = "autoscaler"
TAIL_BYTES: Final = 256 * 1024


def last_decisions(logs: Path, count: int) -> list[Entry]:
    """The last decisions that changed the number, oldest first."""
    files = sorted(logs.glob(f"{NODE}.*.ndjson"), key=_changed)
    if not files:
        return []
    try:
        with files[-1].open("rb") as file:
            file.seek(max(0, files[-1].stat().st_size - TAIL_BYTES))
            lines = file.read().splitlines()
    except OSError:
        return []
    found = [entry for line in lines if (entry := _read(line))]
    return found[-count:]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # delivered and deleted since it was listed
        return 0.0


def _read(line: bytes) -> Entry | None:
    try:
        event = orjson.loads(line)
        if event["event"]["dataset"] != "tidegate.decision":
            return None
        reason = event["tidegate"]["decision"]["reason"]
        if reason not in {"up", "down"}:
            return None
        return Entry(
            at=datetime.fromisoformat(event["@timestamp"]).timestamp(),
            level="info",
            component=NODE,
            action=reason,
            message=event["message"],
        )
    except (ValueError, KeyError, TypeError):
        return None  # the first line of a tail is mostly cut
