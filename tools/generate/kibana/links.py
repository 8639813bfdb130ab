"""Addresses of Kibana's pages, without the host."""

from __future__ import annotations

from typing import Final

from tidegate.store.fields import TIMESTAMP

# The columns that show a trace; a name with another character than letters, digits, dots and underscores
# would need quotes in Rison, the notation of Kibana's addresses.
TRACE_COLUMNS: Final = (
    "data_stream.type",
    "service.node.name",
    "message",
    "event.duration",
    "event.outcome",
)


def trace_path(trace_id: str, data_view: str, back: str) -> str:
    """Where Discover shows every event of a trace, oldest first.

    Args:
        trace_id: 32 hexadecimal digits, or the placeholder that Kibana replaces.
        data_view: the id of the data view to look through.
        back: how far back, as `7d`.
    """
    # A quoted value means the same in both of Kibana's languages.
    return (
        "/app/discover#/"
        f"?_g=(time:(from:now-{back},to:now))"
        f"&_a=(columns:!({','.join(TRACE_COLUMNS)}),"
        f"dataSource:(dataViewId:{data_view},type:dataView),filters:!(),interval:auto,"
        f"query:(language:kuery,query:'trace.id:%22{trace_id}%22'),"
        f"sort:!(!('{TIMESTAMP}',asc)))"
    )
