"""Finds damage in the files of a tantivy index: files that are missing, shorter or changed.

tantivy finds some of it only when a search reads it, and a merge of a damaged segment fails for ever. Each
file ends with a footer that contains the CRC-32 of what precedes it; a segment's files never change.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

META: Final = "meta.json"
# The files of a segment; those of deletions are named in meta.json.
_KINDS: Final = ("store", "term", "idx", "pos", "fast", "fieldnorm")
_MAGIC: Final = 1337
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of an index: its id, the number of its events that are not deleted, and its files."""

    name: str
    events: int
    files: tuple[str, ...]


class Integrity:
    """The files of an index that were found undamaged. Only those that changed are read again."""

    def __init__(self) -> None:
        # By name, what changes when somebody writes to it: size, time and inode.
        self._good: dict[str, tuple[int, int, int]] = {}

    def damaged(self, folder: Path, *, content: bool = True) -> list[Segment]:
        """Return the damaged segments of an index; without `content` those only whose files are missing.

        Raises:
            OSError: A file cannot be read, which is no damage.
            ValueError: meta.json is damaged or missing, and with it the whole index.
        """
        found = segments(folder)
        damaged = [
            one for one in found if not all(self._is_good(folder, f, content) for f in one.files)
        ]
        names = {name for one in found for name in one.files}
        self._good = {name: state for name, state in self._good.items() if name in names}
        return damaged

    def _is_good(self, folder: Path, name: str, content: bool) -> bool:
        path = folder / name
        try:
            status = path.stat()
            state = status.st_size, status.st_mtime_ns, status.st_ino
            if self._good.get(name) == state or not content:
                return status.st_size > 0
            if not _matches_checksum(path):
                return False
        except FileNotFoundError:
            return False
        self._good[name] = state
        return True


def segments(folder: Path) -> list[Segment]:
    """Return the segments that meta.json names.

    Raises:
        OSError: It cannot be read, which is no damage.
        ValueError: It is damaged or missing.
    """
    try:
        return [_segment(one) for one in json.loads((folder / META).read_bytes())["segments"]]
    except (FileNotFoundError, NotADirectoryError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / META} cannot be read: {error}") from error


def without(folder: Path, damaged: Sequence[Segment]) -> str:
    """Return the content of meta.json without these segments."""
    content = json.loads((folder / META).read_bytes())
    names = {one.name for one in damaged}
    content["segments"] = [one for one in content["segments"] if _name(one) not in names]
    return json.dumps(content)


def _segment(entry: dict[str, Any]) -> Segment:
    name, deletes = _name(entry), entry["deletes"]
    files = [f"{name}.{kind}" for kind in _KINDS]
    if deletes:
        files.append(f"{name}.{int(deletes['opstamp'])}.del")
    deleted = int((deletes or {}).get("num_deleted_docs", 0))
    return Segment(name, int(entry["max_doc"]) - deleted, tuple(files))


def _name(entry: dict[str, Any]) -> str:
    return str(entry["segment_id"]).replace("-", "")


def _matches_checksum(path: Path) -> bool:
    """Compare a file with its footer: content, JSON with `crc`, length of the JSON, magic number."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 8))
        tail = file.read()
        length, magic = int.from_bytes(tail[:4], "little"), int.from_bytes(tail[4:], "little")
        body = end - 8 - length
        if magic != _MAGIC or body < 0:
            return False
        file.seek(body)
        try:
            expected = json.loads(file.read(length))["crc"]
        except (ValueError, KeyError, TypeError):
            return False
        file.seek(0)
        found, left = 0, body
        while left and (chunk := file.read(min(_CHUNK, left))):
            found, left = zlib.crc32(chunk, found), left - len(chunk)
        return not left and found == expected
