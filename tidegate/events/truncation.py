"""Truncates events whose line would be too long, and adds the tag `truncated`.

Text of a client can be as long as a request: the name of a tensor, a path, an error message. Logstash and
Elasticsearch hold many events in memory at once, so each one is bounded: by the writer, and by the collector
for the lines of other programs.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

LINE_BYTES: Final = 65_536
"""The default of `collector.line_bytes`."""
LIMITS: Final = ((32_768, 4096), (4096, 512), (512, 64))
"""Maximum characters of a text and maximum entries of a list or object; the first pair that suffices is used.
A stack trace has up to 32,768 characters, a request up to 4096 rows."""
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
    """Truncate an event's line, including its line end, to at most `line_bytes` bytes (16,384 or more).

    Long texts keep their start and end, long lists and objects their first entries. If that does not suffice,
    only the required fields and the ids are kept.
    """
    if len(line) <= line_bytes:
        return line
    return _encoded(truncate_event(orjson.loads(line), line_bytes))


def truncate_event(event: dict[str, Any], line_bytes: int) -> dict[str, Any]:
    """Truncate an event whose line is longer than `line_bytes`, as `truncate_line` does."""
    for characters, entries in LIMITS:
        tagged = _tagged(_shortened(event, characters, entries))
        if len(_encoded(tagged)) <= line_bytes:
            return tagged
    return _tagged(_essential(event))


def _encoded(event: dict[str, Any]) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def _shortened(value: Any, characters: int, entries: int) -> Any:
    if isinstance(value, str):
        return _cut(value, characters)
    if isinstance(value, dict):
        return {
            _cut(key, _KEY_CHARACTERS): _shortened(item, characters, entries)
            for key, item in [*value.items()][:entries]
        }
    if isinstance(value, list):
        return [_shortened(item, characters, entries) for item in value[:entries]]
    return value


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    half = characters // 2
    return f"{text[:half]}… [{len(text) - 2 * half} characters cut] …{text[-half:]}"


def _tagged(event: dict[str, Any]) -> dict[str, Any]:
    tags = event.get("tags", [])
    return {**event, "tags": [*(tags if isinstance(tags, list) else [tags]), TAG]}


def _essential(event: dict[str, Any]) -> dict[str, Any]:
    essential: dict[str, Any] = {}
    for name in _ESSENTIAL:
        *parents, last = name.split(".")
        value: Any = event
        for step in (*parents, last):
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str | int | float):
            target = essential
            for step in parents:
                target = target.setdefault(step, {})
            target[last] = value[:_ESSENTIAL_CHARACTERS] if isinstance(value, str) else value
    return essential
