"""A dashboard's variables: what Grafana would choose at first, and how it fills them in.

The browser fills in a dashboard's own variables; what begins with two underscores (`$__rate_interval`) is
left to Grafana's data source.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from tidegate.verify.peer import Peer

ALL: Final = "$__all"
_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
_LABEL_VALUES: Final = re.compile(r"label_values\((\w+),\s*(\w+)\)")


def fill(value: Any, chosen: dict[str, str]) -> Any:
    """A JSON value with the variables in its texts filled in; unknown ones stay."""
    match value:
        case str():
            return _VARIABLE.sub(lambda found: chosen.get(found[1] or found[2], found[0]), value)
        case dict():
            return {name: fill(inner, chosen) for name, inner in value.items()}
        case list():
            return [fill(inner, chosen) for inner in value]
    return value


async def values(grafana: Peer, dashboard: dict[str, Any]) -> dict[str, str]:
    """The value of each variable of a dashboard when it is opened for the first time.

    Raises:
        PeerError: a data source does not offer the values of one.
    """
    chosen: dict[str, str] = {}
    for variable in dashboard["templating"]["list"]:
        current = (variable.get("current") or {}).get("value")
        first = current[0] if isinstance(current, list) and current else current
        if first == ALL:
            chosen[variable["name"]] = variable.get("allValue") or ".*"
        elif first:
            chosen[variable["name"]] = str(first)
        else:
            chosen[variable["name"]] = await _first_offered(grafana, variable, chosen)
    return chosen


async def _first_offered(grafana: Peer, variable: dict[str, Any], chosen: dict[str, str]) -> str:
    query = variable["query"]
    text = query["query"] if isinstance(query, dict) else query
    found = _LABEL_VALUES.fullmatch(text)
    if found is None:
        return ""
    source = fill(variable["datasource"], chosen)["uid"]
    path = f"/api/datasources/uid/{source}/resources/api/v1/label/{found[2]}/values"
    offered = (await grafana.get(f"{path}?match[]={quote(found[1])}"))["data"]
    return str(offered[0]) if offered else ""
