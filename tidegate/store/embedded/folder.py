"""The folder layout of the embedded store, and its format version.

    store/format.json     {"format": 2, "fields": "<digest>", "folder": "index-<digest>-<n>"}
    store/index-…/        tantivy's files
    store/damaged-<n>/    what was damaged and set aside
    store/damage.json     {"reason": …, "events": …, "created": …}, until its events are delivered again

The file is replaced atomically, so a reader sees either the old or the new index, and an index that was
incomplete at a power failure is not referenced.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.runtime.atomic_files import write_atomically
from tidegate.store.base import Damage, StoreUnavailableError

FORMAT: Final = 2
# Damaged parts that are kept for a person to examine.
KEPT_ASIDE: Final = 3
_ASIDE: Final = re.compile(r"damaged-[0-9]+")


class DamagedLayoutError(StoreUnavailableError):
    """format.json is damaged."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The content of format.json."""

    fields: str
    folder: str


def read(root: Path) -> Layout | None:
    """Read the layout of the store in a folder; None if there is no store.

    Raises:
        DamagedLayoutError: format.json is damaged.
        StoreUnavailableError: A newer version created the store, it is not a store of Tidegate, or
            format.json cannot be read, which is no damage.
    """
    path = root / "format.json"
    try:
        content = json.loads(path.read_bytes())
        number = content["format"]
        layout = Layout(str(content["fields"]), str(content["folder"]))
    except FileNotFoundError:
        if any(root.glob("meta.json")):
            raise StoreUnavailableError(
                f"{root} contains an index that is not Tidegate's: set stack.data_dir to another folder"
            ) from None
        return None
    except OSError as error:
        raise StoreUnavailableError(f"{path} cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedLayoutError(
            f"{path} cannot be read ({error}): a running collector repairs it"
        ) from error
    if number != FORMAT:
        raise StoreUnavailableError(
            f"{root} is in format {number}, and this version of Tidegate supports format {FORMAT}: "
            "use the version that wrote it, or remove the folder to create a new store"
        )
    return layout


def unusable(root: Path) -> str:
    """Return why a store can be neither searched nor repaired; empty if it can, or if there is none."""
    try:
        current = read(root)
    except DamagedLayoutError:
        return ""
    except StoreUnavailableError as error:
        return str(error)
    folder = root / current.folder if current else root
    if not folder.is_dir() or os.access(folder, os.W_OK):
        return ""
    return (
        f"{folder} is not writable for this user, and a search, too, takes a lock there: make it writable,"
        " or copy the data folder and set stack.data_dir to the copy"
    )


def write(root: Path, layout: Layout) -> None:
    """Replace the layout atomically and durably."""
    text = json.dumps({"format": FORMAT, "fields": layout.fields, "folder": layout.folder})
    write_atomically(root / "format.json", text)


def new_folder(root: Path, fields: str) -> str:
    """Return an unused name for an index folder."""
    number = 0
    while (root / f"index-{fields}-{number}").exists():
        number += 1
    return f"index-{fields}-{number}"


def aside(root: Path) -> list[Path]:
    """Return the folders of damaged parts, oldest first."""
    # A person may keep other names beside them, such as damaged-1.tar.gz.
    found = [one for one in root.glob("damaged-*") if _ASIDE.fullmatch(one.name)]
    return sorted(found, key=lambda one: (one.stat().st_mtime, one.name))


def next_aside(root: Path) -> Path:
    """Return the path of the next folder for a damaged part."""
    number = 1 + max((int(one.name.partition("-")[2]) for one in aside(root)), default=0)
    return root / f"damaged-{number}"


def make_aside(folder: Path) -> None:
    """Create a folder for a damaged part; of the older ones, only the newest are kept."""
    older = aside(folder.parent)
    for one in older[: max(0, len(older) - KEPT_ASIDE + 1)]:
        shutil.rmtree(one, ignore_errors=True)
    folder.mkdir(mode=0o700)


def mark_damage(root: Path, damage: Damage) -> None:
    """Record damage durably, before anything is set aside: its events are to be delivered again.

    If earlier damage is still recorded, an interrupted repair may have counted the same events, so their
    number is unknown.
    """
    events = damage.events if read_damage(root) is None else None
    content = {"reason": damage.reason, "events": events, "created": damage.created}
    write_atomically(root / "damage.json", json.dumps(content))


def read_damage(root: Path) -> Damage | None:
    """Return the damage whose events are still to be delivered again."""
    path = root / "damage.json"
    try:
        content = json.loads(path.read_bytes())
        events = content["events"]
        return Damage(
            str(content["reason"]),
            None if events is None else int(events),
            created=bool(content["created"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        return Damage(f"the store was damaged before, and {path} cannot be read ({error})", None)


def forget_damage(root: Path) -> None:
    """Remove the record of damage."""
    (root / "damage.json").unlink(missing_ok=True)


def remove_others(root: Path, folder: str) -> None:
    """Remove index folders that are not in use, for example of an interrupted rebuild."""
    for other in root.glob("index-*"):
        if other.name != folder:
            shutil.rmtree(other, ignore_errors=True)
