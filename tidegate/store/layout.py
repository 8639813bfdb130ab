"""Where the embedded store keeps its index, and in which format.

    store/format.json     {"format": 1, "fields": "<digest>", "folder": "index-<digest>-<n>"}
    store/index-…/        tantivy's files

The file is replaced at once, so a reader sees the old index or the new one, and an index that was being
made when the power went is simply not named in it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.runtime.atomic_files import write_atomically
from tidegate.store.base import StoreUnavailableError

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """What format.json says."""

    fields: str
    folder: str


def read(root: Path) -> Layout | None:
    """The layout of the store in a folder; None if there is no store yet.

    Raises:
        StoreUnavailableError: the store was made by a newer version, or it is not one of ours.
    """
    path = root / "format.json"
    try:
        held = json.loads(path.read_bytes())
        number, layout = held["format"], Layout(str(held["fields"]), str(held["folder"]))
    except FileNotFoundError:
        if any(root.glob("meta.json")):
            raise StoreUnavailableError(f"{root} holds an index that is not Tidegate's") from None
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreUnavailableError(
            f"{path} cannot be read ({error}): remove {root} to begin a new store"
        ) from error
    if number != FORMAT:
        raise StoreUnavailableError(
            f"{root} is in format {number}, and this version of Tidegate knows format {FORMAT}: "
            "use the version that wrote it, or remove the folder to begin a new store"
        )
    return layout


def write(root: Path, layout: Layout) -> None:
    """Make this the layout, atomically and durably."""
    text = json.dumps({"format": FORMAT, "fields": layout.fields, "folder": layout.folder})
    write_atomically(root / "format.json", text)


def new_folder(root: Path, fields: str) -> str:
    """The name of an index folder that is not there yet."""
    number = 0
    while (root / f"index-{fields}-{number}").exists():
        number += 1
    return f"index-{fields}-{number}"


def remove_others(root: Path, folder: str) -> None:
    """Remove index folders that format.json does not name: what a rebuild left behind."""
    for other in root.glob("index-*"):
        if other.name != folder:
            shutil.rmtree(other, ignore_errors=True)
