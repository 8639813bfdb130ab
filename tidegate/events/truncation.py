"""The size of an event's line: an event that would be too long is cut, and its tag `truncated` says so.

A client's text can be as long as a request: the name of a tensor, a path, the message of an error. A line
longer than `collector.line_bytes` would be quarantined by the collector, where no search finds it.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

LINE_BYTES: Final = 262_144
"""Longest line by default: that of `collector.line_bytes`."""
UNCHANGED_BYTES: Final = 65_536
"""A line up to this length is never cut, nor looked at: no text in it is longer either."""
LIMITS: Final = ((32_768, 4096), (4096, 512), (512, 64))
"""Longest text in characters, and most entries of a list or object; the first pair that is enough is taken.
32,768 characters are what a stack trace may have, 4096 entries what a request has rows."""
TAG: Final = "truncated"

_KEY_CHARACTERS: Final = 256
_ESSENTIAL_CHARACTERS: Final = 64
_ESSENTIAL: Final = (
    *("@timestamp", "message", "log.level", "ecs.version"),
    *(
        "event.id",
        "event.dataset",
        "event.action",
        "event.outcome",
        "event.duration",
        "event.start",
    ),
    *("service.name", "service.version", "service.environment", "service.node.name"),
    *("data_stream.type", "data_stream.dataset", "data_stream.namespace"),
    *("trace.id", "span.id", "parent.id"),
)


def truncate_line(line: bytes, line_bytes: int = LINE_BYTES) -> bytes:
    """An event's line, its end included, cut to at most `line_bytes` bytes (16,384 or more).

    Long texts keep their first and their last part, long lists and objects their first entries. If that
    is not enough, the fields that each event must have are left, and those that it is found by.
    """
    if len(line) <= min(UNCHANGED_BYTES, line_bytes):
        return line
    event = orjson.loads(line)
    for characters, entries in LIMITS:
        shorter = _shortened(event, characters, entries)
        if shorter != event:
            line = _tagged(shorter)
        if len(line) <= line_bytes:
            return line
    return _tagged(_essential(event))


def _shortened(value: Any, characters: int, entries: int) -> Any:
    if isinstance(value, str):
        return _cut(value, characters)
    if isinstance(value, dict):
        return {
            _cut(key, _KEY_CHARACTERS): _shortened(held, characters, entries)
            for key, held in [*value.items()][:entries]
        }
    if isinstance(value, list):
        return [_shortened(held, characters, entries) for held in value[:entries]]
    return value


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    half = characters // 2
    return f"{text[:half]}… [{len(text) - 2 * half} characters cut] …{text[-half:]}"


def _tagged(event: dict[str, Any]) -> bytes:
    tags = event.get("tags", [])
    tagged = {**event, "tags": [*(tags if isinstance(tags, list) else [tags]), TAG]}
    return orjson.dumps(tagged, option=orjson.OPT_APPEND_NEWLINE)


def _essential(event: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name in _ESSENTIAL:
        *above, last = name.split(".")
        value: Any = event
        for step in (*above, last):
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str | int | float):
            target = kept
            for step in above:
                target = target.setdefault(step, {})
            target[last] = value[:_ESSENTIAL_CHARACTERS] if isinstance(value, str) else value
    return kept
