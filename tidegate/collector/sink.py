"""The sink of the collector: the store, or a Logstash that writes to it."""

from __future__ import annotations

from tidegate.settings import Settings
from tidegate.store.base import Rebuilding, Sink, unreported
from tidegate.store.kinds import open_store, store_server
from tidegate.store.own_fields import LeftOut


def open_sink(settings: Settings, left_out: LeftOut, rebuilding: Rebuilding = unreported) -> Sink:
    """Open the sink that `collector.sink` selects; arguments and errors are those of `open_store`."""
    if settings.collector.sink == "logstash":
        from tidegate.collector.logstash import LogstashSink  # noqa: PLC0415  its client is an optional dependency

        return LogstashSink(settings.collector.logstash, left_out=left_out)
    return open_store(settings, left_out=left_out, rebuilding=rebuilding)


def sink_name(settings: Settings) -> str:
    """Return the name of the sink for messages."""
    if settings.collector.sink == "logstash":
        return settings.collector.logstash.url
    server = store_server(settings)
    return server.url if server else f"the {settings.store.kind} store"
