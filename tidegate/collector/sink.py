"""Where the collector delivers to: the store itself, or a Logstash that writes into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tidegate.events import Event
from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import Rejected


class Sink(Protocol):
    """What takes events, acknowledged. Every `EventStore` is one."""

    def append(self, events: Sequence[Event]) -> list[Rejected]:
        """Have the events durable before returning; those that are refused for good.

        Raises:
            StoreUnavailableError: nothing, or an unknown part, was taken: send the same events again.
            Exception: any other; it failed on what it was given, and may take each event that is not
                at fault.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def open_sink(settings: Settings) -> Sink:
    """The sink of `collector.sink`.

    Raises:
        StoreUnavailableError: it cannot be opened now.
    """
    if settings.collector.sink == "logstash":
        from tidegate.collector.logstash import LogstashSink  # noqa: PLC0415  not all have its client

        return LogstashSink(settings.collector.logstash)
    return open_store(settings)


def sink_name(settings: Settings) -> str:
    """What a person calls it."""
    if settings.collector.sink == "logstash":
        return settings.collector.logstash.url
    if settings.store.kind == "elasticsearch":
        return settings.store.elasticsearch.url
    return "the embedded store"
