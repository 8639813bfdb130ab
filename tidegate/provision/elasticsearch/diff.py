"""Compares the desired and the present state, which Elasticsearch may return in another notation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

MAX_NAMES: Final = 3


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Every leaf by its dotted name, as text: `{"a": {"b": 1}}` becomes `{"a.b": "1"}`."""
    found: dict[str, str] = {}
    for name, item in value.items():
        path = f"{prefix}{name}"
        if isinstance(item, Mapping):
            found |= flatten(item, f"{path}.")
        else:
            found[path] = item if isinstance(item, str) else json.dumps(item)
    return found


def differences(desired: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """The sorted dotted names of the leaves that differ, are missing or are superfluous."""
    first, second = flatten(desired), flatten(present)
    return sorted(
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    )


def outcome(changed: list[str]) -> str:
    """The outcome as text: `changed (a, b, c and 4 more)` or `unchanged`."""
    if not changed:
        return "unchanged"
    more = f" and {len(changed) - MAX_NAMES} more" if len(changed) > MAX_NAMES else ""
    return f"changed ({', '.join(changed[:MAX_NAMES])}{more})"
