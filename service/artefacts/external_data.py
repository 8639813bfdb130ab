"""The files of external data that an ONNX file names, found without the package `onnx`.

A replica that looks for a converted artefact imports none of the packages that convert.
"""

from __future__ import annotations

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
LONGEST_BYTES: Final = 2**14 + 16
"""Of a location with its start."""
BLOCK_BYTES: Final = 2**18


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
    # Not mapped into memory: the process would die by SIGBUS if the file is cut meanwhile, and one search of
    # all of it would stop the other threads.
    window = b""
    with file.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            window = window[-LONGEST_BYTES:] + block
            for match in _LOCATION.finditer(window):
                low, *high = match[1]
                length = (low & 0x7F) | (high[0] << 7 if high else 0)
                value = window[match.end() : match.end() + length]
                if len(value) == length:  # otherwise the next window has all of it
                    yield value
