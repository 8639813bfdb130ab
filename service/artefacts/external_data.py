"""The files of external data that an ONNX file names, found without the package `onnx`.

A replica that looks for a converted artefact imports none of the packages that convert. So the fields are
read as protobuf encodes them (https://protobuf.dev/programming-guides/encoding/), with the numbers of
`onnx.proto`.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_MESSAGES: Final[dict[str, dict[int, str]]] = {
    "Model": {7: "Graph", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
    "Entry": {1: "key", 2: "value"},
}
"""The fields that lead to external data: for each message, the type of a field by its number."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def external_files(file: Path) -> list[Path]:
    """The files below the folder of an ONNX file that it takes tensors from, sorted.

    What cannot be read names none: the conversion refuses it with the reason.
    """
    folder = file.parent.resolve()
    found: set[Path] = set()
    for location in _locations(file):
        path = folder / location
        # Others are refused by the conversion; and /dev/zero has no end.
        with suppress(OSError, ValueError):  # a name that is too long, or with NUL
            if path.resolve().is_relative_to(folder) and path.is_file():
                found.add(path)
    return sorted(found)


def _locations(file: Path) -> set[str]:
    with file.open("rb") as opened:
        try:
            data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # it is empty
            return set()
    with data:
        try:
            return set(_walk(data, "Model", 0, len(data)))
        except (IndexError, ValueError, RecursionError):
            return set()


def _walk(data: mmap.mmap, kind: str, start: int, end: int) -> Iterator[str]:
    """The locations in one message."""
    entry: dict[str, str] = {}
    for number, first, last in _fields(data, start, end):
        inner = _MESSAGES[kind].get(number)
        if inner is None:
            continue
        if kind == "Entry":
            entry[inner] = data[first:last].decode()
        else:
            yield from _walk(data, inner, first, last)
    if entry.get("key") == "location":
        yield entry.get("value", "")


def _fields(data: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The number, the start and the end of each field that has a length.

    Raises:
        IndexError, ValueError: this is no message.
    """
    while position < end:
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == _VARINT:
            _, position = _varint(data, position)
        elif wire == _BYTES:
            length, position = _varint(data, position)
            yield tag >> 3, position, position + length
            position += length
        elif wire in (_FIXED64, _FIXED32):
            position += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position > end:
            raise ValueError("a field ends after its message")


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number has more than 64 bits")
