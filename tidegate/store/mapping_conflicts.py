"""Moves values that conflict with the mapping to `tidegate.misfits`, so that the event can be stored.

Applications choose their own field names: a log line with `model="small"` has text where the mapping has
the object `tidegate.model`, and both stores would reject the event, as for a name that no field can have.
Such a value is moved to `tidegate.misfits`, under its dotted name: it is stored and shown, but cannot be
searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.events.event import Event
from tidegate.store.fields import Branch, Leaf, is_refused_name, mapping

# An event with an invalid value in one of these cannot be stored.
_REQUIRED: Final = frozenset({"@timestamp", "event", "data_stream"})


def move_conflicting_values(event: Event) -> Event | None:
    """Return the event with its conflicting values moved; None if that cannot make it storable."""
    misfits: dict[str, Any] = {}
    result = _split(mapping(), event, misfits)
    if not misfits or not _REQUIRED.isdisjoint(misfits):
        return None
    own = result.get("tidegate")
    own = own if isinstance(own, dict) else {}
    # One of an older mapping may have been moved before.
    before = own.get("misfits")
    before = before if isinstance(before, dict) else {}
    result["tidegate"] = {**own, "misfits": {**before, **misfits}}
    return result


def _split(branch: Branch, value: Mapping[str, Any], misfits: dict[str, Any]) -> dict[str, Any]:
    """Return the values that match the mapping, and add the others to `misfits`."""
    matching = {}
    for name, item in value.items():
        child = branch.children.get(name)
        first = branch.children.get(name.partition(".")[0]) if child is None else None
        if isinstance(child, Branch) and not child.opaque:
            valid, result = _object(child, item, misfits)
        elif isinstance(child, Leaf):
            valid, result = not _contains_object(item), item
        elif isinstance(first, Leaf):  # `log.level.deep`, where `log.level` is a value
            valid, result = False, item
        elif isinstance(first, Branch) and not first.opaque:
            rest = name.partition(".")[2]
            inner: dict[str, Any] = {}
            valid = bool(_split(first, {rest: item}, inner)) and not inner
            result = item
        else:
            valid, result = not is_refused_name(name, branch.path), item
        if valid:
            matching[name] = result
        else:
            misfits[f"{branch.path}.{name}" if branch.path else name] = item
    return matching


def _object(branch: Branch, item: object, misfits: dict[str, Any]) -> tuple[bool, object]:
    """Return whether the item is an object or a list of objects, and its matching values."""
    if item is None:
        return True, item
    if isinstance(item, dict):
        return True, _split(branch, item, misfits)
    if isinstance(item, list):
        results = [_object(branch, element, misfits) for element in item]
        return all(valid for valid, _ in results), [result for _, result in results]
    return False, item


def _contains_object(item: object) -> bool:
    if isinstance(item, list):
        return any(_contains_object(element) for element in item)
    return isinstance(item, dict)
