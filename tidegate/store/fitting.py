"""Makes an event fit whose shape contradicts the mapping, so that it is found all the same.

Applications name their own fields: a log line with `model="small"` puts text where the mapping has the
object `tidegate.model`, and no store would take the event for it. Such a value is moved to
`tidegate.misfits`, under its dotted name: kept and shown, not searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tidegate.events import Event
from tidegate.store.fields import Branch, Leaf, mapping

# Without these an event has no place in any store.
_NEEDED: Final = frozenset({"@timestamp", "event", "data_stream"})


def fit(event: Event) -> Event | None:
    """The event with its misfits moved; None if it has none that can be moved."""
    misfits: dict[str, Any] = {}
    fitted = _fit(mapping(), event, misfits)
    if not misfits or not _NEEDED.isdisjoint(misfits):
        return None
    ours = fitted.get("tidegate")
    fitted["tidegate"] = {**(ours if isinstance(ours, dict) else {}), "misfits": misfits}
    return fitted


def _fit(branch: Branch, value: Mapping[str, Any], misfits: dict[str, Any]) -> dict[str, Any]:
    kept = {}
    for name, item in value.items():
        child = branch.children.get(name)
        first = branch.children.get(name.partition(".")[0]) if child is None else None
        if isinstance(child, Branch) and not child.opaque:
            fits, held = _object(child, item, misfits)
        elif isinstance(child, Leaf):
            fits, held = not _holds_object(item), item
        elif isinstance(first, Leaf):  # `log.level.deep`, where `log.level` is a value
            fits, held = False, item
        elif isinstance(first, Branch) and not first.opaque:
            rest = name.partition(".")[2]
            inner: dict[str, Any] = {}
            fits = bool(_fit(first, {rest: item}, inner)) and not inner
            held = item
        else:
            fits, held = True, item
        if fits:
            kept[name] = held
        else:
            misfits[f"{branch.path}.{name}" if branch.path else name] = item
    return kept


def _object(branch: Branch, item: object, misfits: dict[str, Any]) -> tuple[bool, object]:
    """Whether an object can be had here, and that object."""
    if item is None:
        return True, item
    if isinstance(item, dict):
        return True, _fit(branch, item, misfits)
    if isinstance(item, list):
        held = [_object(branch, one, misfits) for one in item]
        return all(fits for fits, _ in held), [one for _, one in held]
    return False, item


def _holds_object(item: object) -> bool:
    if isinstance(item, list):
        return any(_holds_object(one) for one in item)
    return isinstance(item, dict)
