"""The event line: one JSON object a line, in the Elastic Common Schema, appended with one write.

Everything that happens (a request, a span, a decision, a restart) becomes such a line in a file that
the collector tails. A line is written whole or not at all, so a killed process loses nothing that it
had finished. Files are never renamed and their names never used again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

import orjson

ECS_VERSION: Final = "8.17.0"
Event = dict[str, Any]
Level = Literal["debug", "info", "warn", "error"]
DataStream = Literal["logs", "traces"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes the events: the `service.*` fields and the data streams' namespace."""

    service: str
    version: str
    environment: str
    node: str
    namespace: str


def timestamp(unix_ns: int) -> str:
    """`@timestamp` of a moment in nanoseconds since 1970: UTC, with microseconds."""
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    return f"{_whole_second(seconds)}.{ns // 1000:06d}Z"


@lru_cache(maxsize=16)  # events come in order, so the second before is nearly always the second now
def _whole_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def new_event_id() -> str:
    """A unique id; it becomes the document id, which makes delivery idempotent."""
    return os.urandom(16).hex()


def make_event(
    origin: Origin,
    dataset: str,
    message: str,
    *,
    unix_ns: int,
    level: Level = "info",
    stream: DataStream = "logs",
    event_id: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Event:
    """An event with every field that each line must have.

    Args:
        origin: who writes it.
        dataset: the last part of its dataset: `request` becomes `tidegate.request`.
        message: a sentence for the person who reads it.
        unix_ns: when, in nanoseconds since 1970.
        level: `log.level`.
        stream: `traces` for a span, else `logs`.
        event_id: its id, if it is not to be a new random one.
        fields: further fields, nested; merged over the standard ones, one level deep.
    """
    event: Event = {
        "@timestamp": timestamp(unix_ns),
        "message": message,
        "log": {"level": level},
        "ecs": {"version": ECS_VERSION},
        "event": {"id": event_id or new_event_id(), "dataset": f"tidegate.{dataset}"},
        "service": {
            "name": origin.service,
            "version": origin.version,
            "environment": origin.environment,
            "node": {"name": origin.node},
        },
        "data_stream": {
            "type": stream,
            "dataset": f"tidegate.{dataset}",
            "namespace": origin.namespace,
        },
    }
    for name, value in (fields or {}).items():
        held = event.get(name)
        event[name] = {**held, **value} if isinstance(held, dict) else value
    return event


def encode(event: Mapping[str, Any]) -> bytes:
    """The event as one line: total, whatever the event holds.

    NaN and infinity become null; a value or a key that JSON lacks becomes its text; what UTF-8 lacks
    (a lone surrogate from a client's JSON) becomes a question mark.
    """
    try:
        return orjson.dumps(event, default=_as_json, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(_plain(event), option=_OPTIONS)


_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
# orjson gives up beyond 254 levels; nobody reads an event that deep.
_DEEPEST: Final = 64


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return str(value)


def _plain(value: Any, above: tuple[int, ...] = ()) -> Any:
    """The value in types that orjson never refuses; slow, so only for what it has refused."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if id(value) in above or len(above) == _DEEPEST:
            return "…"
        above = (*above, id(value))
        if isinstance(value, Mapping):
            return {_text(key): _plain(held, above) for key, held in value.items()}
        return [_plain(held, above) for held in value]
    return _text(value)


def _text(value: Any) -> str:
    try:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    except Exception:  # noqa: BLE001 - an object's own __str__ may raise anything
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode()
