"""Events of the last minutes, for searches that end now."""

from __future__ import annotations

import time
from functools import cache
from typing import Any, Final

from tidegate.events.event import Event, Origin, make_event

ORIGIN: Final = Origin("flights", "1.2.3", "local", "flights-1", "unit")
SECOND: Final = 10**9


@cache
def now_ns() -> int:
    """The time of the events: read when they are created, not when tests are collected."""
    return time.time_ns()


def event(message: str, ago: float = 10, **more: Any) -> Event:
    dataset, stream = more.pop("dataset", "app"), more.pop("stream", "logs")
    unix_ns = now_ns() - int(ago * SECOND)
    return make_event(ORIGIN, dataset, message, unix_ns=unix_ns, stream=stream, fields=more)
