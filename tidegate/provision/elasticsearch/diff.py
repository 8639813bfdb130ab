"""Whether what is there is what is wanted, where Elasticsearch writes the same thing in its own way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

NAMED: Final = 3


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every leaf by its dotted name, as text: `{"a": {"b": 1}}` is the same as `{"a.b": "1"}`."""
    found: dict[str, str] = {}
    for name, item in value.items():
        path = f"{prefix}{name}"
        if isinstance(item, Mapping):
            found |= flat(item, f"{path}.")
        else:
            found[path] = item if isinstance(item, str) else json.dumps(item)
    return found


def differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """The dotted names of what is not there as wanted, or is there and not wanted, in order."""
    first, second = flat(wanted), flat(there)
    return sorted(
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    )


def outcome(changed: list[str]) -> str:
    """What was done, in words: `changed (a, b, c and 4 more)` or `as wanted`."""
    if not changed:
        return "as wanted"
    more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
    return f"changed ({', '.join(changed[:NAMED])}{more})"
