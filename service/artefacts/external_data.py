"""The files of external data that an ONNX file names, found without the package `onnx`.

A replica that looks for a converted artefact imports none of the packages that convert.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOCATION: Final = re.compile(
    rb"\x0a\x08location"  # `key` of a StringStringEntryProto (onnx.proto), with its length
    rb"\x12([\x80-\xff]?[\x00-\x7f])"  # the length of its `value`, as a varint of one or two bytes
)
"""How https://protobuf.dev/programming-guides/encoding/ writes the start of a tensor's location."""


def external_files(file: Path) -> list[Path]:
    """The files below the folder of an ONNX file that it takes tensors from, sorted.

    A name that is none, or leads nowhere, is left to the conversion, which refuses it with the reason.
    """
    folder = file.parent.resolve()
    found: set[Path] = set()
    for location in _locations(file):
        # Others are refused by the conversion; and /dev/zero has no end.
        with suppress(OSError, ValueError):  # a name that is too long, or with NUL, or no text
            path = folder / location.decode()
            if path.resolve().is_relative_to(folder) and path.is_file():
                found.add(path)
    return sorted(found)


def _locations(file: Path) -> Iterator[bytes]:
    if not file.stat().st_size:
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for match in _LOCATION.finditer(data):
            low, *high = match[1]
            length = (low & 0x7F) | (high[0] << 7 if high else 0)
            yield data[match.end() : match.end() + length]
