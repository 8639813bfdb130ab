"""Sets the damaged part of an embedded store aside, so that the rest can be searched and written to.

The events of that part are delivered again by the collector, as far as their files still exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tidegate.runtime.atomic_files import write_atomically
from tidegate.store.base import Damage, StoreUnavailableError
from tidegate.store.embedded import folder as layout
from tidegate.store.embedded.folder import Layout
from tidegate.store.embedded.integrity import META, Integrity, Segment, segments, without

_HEALED: Final = (
    "a running collector sets that aside, and restores the events that their files still contain"
)


def damaged_segments(folder: Path, integrity: Integrity, *, content: bool) -> list[Segment]:
    """Return the damaged segments of an index that a writer may be merging.

    Raises:
        OSError: A file cannot be read, which is no damage.
        ValueError: meta.json is damaged or missing, and with it the whole index.
    """
    first = integrity.damaged(folder, content=content)
    # The files of a segment that was merged in the meantime are gone, and meta.json no longer names it.
    again = {one.name for one in integrity.damaged(folder, content=content)} if first else set()
    return [one for one in first if one.name in again]


def repair(root: Path, integrity: Integrity, known_events: int | None, *, content: bool) -> None:
    """Record damage of a store (`read_damage`), and set the damaged part aside.

    No writer may be open. A lost format.json is written again. A damaged segment is taken out of the index;
    without a valid meta.json or format.json, the whole index is set aside, and the caller creates a new
    one. `known_events` is the number in the store when it was whole, if known.

    Raises:
        OSError: Files cannot be read or moved.
        StoreUnavailableError: A newer version created the store, it is not a store of Tidegate, or
            format.json cannot be read.
    """
    try:
        current = layout.read(root)
        if current is None:
            indexes = _indexes(root)
            if len(indexes) > 1:
                reason = f"{root / 'format.json'} is missing beside {len(indexes)} indexes"
                _set_index_aside(root, reason, known_events)
            if len(indexes) != 1:
                return
            # The lost file named the only index.
            current = Layout(indexes[0].name.split("-")[1], indexes[0].name)
            layout.write(root, current)
        damaged = damaged_segments(root / current.folder, integrity, content=content)
    except (layout.DamagedLayoutError, ValueError) as error:
        _set_index_aside(root, str(error), known_events)
        return
    if damaged:
        _set_segments_aside(root, root / current.folder, damaged)


def problem(root: Path, *, content: bool) -> str:
    """Return what is wrong with a store; empty if nothing is, or if there is no store."""
    try:
        current = layout.read(root)
        if current is None:
            if not any(segments(index) for index in _indexes(root)):
                return ""
            return f"{root / 'format.json'} is missing; {_HEALED}"
        damaged = damaged_segments(root / current.folder, Integrity(), content=content)
    except ValueError as error:
        return f"{error}; {_HEALED}"
    except StoreUnavailableError as error:
        return str(error)
    except OSError as error:
        return f"{root} cannot be read: {error}"
    return f"{_describe(root / current.folder, damaged)}; {_HEALED}" if damaged else ""


def _indexes(root: Path) -> list[Path]:
    """Return the folders of indexes that can be read; others are of a rebuild that did not finish."""
    found = []
    for folder in root.glob("index-*-*"):
        with suppress(ValueError):
            segments(folder)
            found.append(folder)
    return found


def _describe(folder: Path, damaged: Sequence[Segment]) -> str:
    events = sum(one.events for one in damaged)
    parts = "a segment" if len(damaged) == 1 else f"{len(damaged)} segments"
    return f"{parts} of {folder} with {events} events: files are missing or damaged"


def _set_segments_aside(root: Path, folder: Path, damaged: Sequence[Segment]) -> None:
    target = layout.next_aside(root)
    reason = f"{_describe(folder, damaged)}; what is left of them is in {target}"
    layout.mark_damage(root, Damage(reason, sum(one.events for one in damaged)))
    layout.make_aside(target)
    for name in (name for one in damaged for name in one.files):
        with suppress(FileNotFoundError):
            (folder / name).replace(target / name)
    write_atomically(folder / META, without(folder, damaged))


def _set_index_aside(root: Path, reason: str, events: int | None) -> None:
    target = layout.next_aside(root)
    indexes = [*root.glob("index-*")]
    if events is None:
        for index in indexes:
            with suppress(ValueError, OSError):
                events = max(events or 0, sum(one.events for one in segments(index)))
    layout.mark_damage(root, Damage(f"{reason}; what is left of the store is in {target}", events))
    layout.make_aside(target)
    for path in (*indexes, root / "format.json"):
        with suppress(FileNotFoundError):
            path.replace(target / path.name)
