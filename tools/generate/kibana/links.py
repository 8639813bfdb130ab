"""URL paths of Kibana's pages, and the console's address."""

from __future__ import annotations

from typing import Final

from tidegate.store.fields import TIMESTAMP

# The published port in Compose, unless CONSOLE_PORT moves it: Grafana expands no variable in a dashboard.
CONSOLE: Final = "http://127.0.0.1:8080"
# The columns for a trace. A name with characters other than letters, digits, dots and underscores would need
# quotes in Rison, the notation of Kibana's URLs.
TRACE_COLUMNS: Final = (
    "data_stream.type",
    "service.node.name",
    "message",
    "event.duration",
    "event.outcome",
)


def trace_path(trace_id: str, data_view: str, lookback: str) -> str:
    """The path to Discover with every event of a trace, oldest first.

    Args:
        trace_id: 32 hexadecimal digits, or the placeholder that Kibana replaces.
        data_view: the id of the data view to search.
        lookback: length of the time range up to now, such as `7d`.
    """
    # A quoted value has the same meaning in both query languages of Kibana.
    return (
        "/app/discover#/"
        f"?_g=(time:(from:now-{lookback},to:now))"
        f"&_a=(columns:!({','.join(TRACE_COLUMNS)}),"
        f"dataSource:(dataViewId:{data_view},type:dataView),filters:!(),interval:auto,"
        f"query:(language:kuery,query:'trace.id:%22{trace_id}%22'),"
        f"sort:!(!('{TIMESTAMP}',asc)))"
    )
