"""Tensors of the Open Inference Protocol: in JSON, and as raw bytes after it.

The binary format: the body is JSON of `Inference-Header-Content-Length` bytes, then the little-endian
values of each tensor in order, `binary_data_size` bytes each; a string has its length before it in 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.http.body import byte_count
from tidegate.service.http.body_types import InferenceInput
from tidegate.service.model.features import MAX_ROWS
from tidegate.service.model.tensor_spec import BYTES, DTYPES, Tensor
from tidegate.service.request_errors import (
    PROTOCOL,
    Detail,
    RequestError,
    protocol_error,
)

_LENGTH: Final = struct.Struct("<I")


def split_body(body: bytes, header_length: bytes | None) -> tuple[bytes, bytes]:
    """Split a body into its JSON and the raw bytes after it, by the header `Inference-Header-Content-Length`.

    Raises:
        RequestError: 400, the header is not a length within the body.
    """
    if header_length is None:
        return body, b""
    length = byte_count(header_length)
    if length is None or length > len(body):
        got = header_length[:20].decode("latin-1")
        message = f"should be a number of bytes up to {len(body)}, got {got!r}"
        loc = ("header", "inference-header-content-length")
        raise RequestError(400, Detail(loc, message, PROTOCOL))
    return body[:length], body[length:]


def read_tensors(inputs: Sequence[InferenceInput], raw: bytes) -> Iterator[Tensor]:
    """The tensors in `inputs` of a request, with binary values from `raw`, the bytes after the JSON.

    Raises:
        RequestError: 400, naming the invalid input.
    """
    start = 0
    for entry in inputs:
        name, shape = entry.name, tuple(entry.shape)
        if shape[0] > MAX_ROWS:
            message = f"At most {MAX_ROWS} rows are accepted in one request, got {shape[0]}"
            raise RequestError(422, Detail(("inputs", name), message, "too_long"))
        size = None if entry.parameters is None else entry.parameters.binary_data_size
        if size is None:
            values: Sequence[Any] | npt.NDArray[Any] = _flat(entry.data, name, len(shape))
        else:
            if size > len(raw) - start:
                raise protocol_error(name, f"binary_data_size {size} does not fit the body")
            values = _unpack(raw[start : start + size], entry.datatype, name)
            start += size
        if len(values) != prod(shape):
            raise protocol_error(
                name, f"shape {list(shape)} needs {prod(shape)} values, got {len(values)}"
            )
        yield Tensor(name, entry.datatype, shape, values)
    if start != len(raw):
        raise protocol_error("", f"{len(raw) - start} bytes follow the last tensor")


def pack(values: Sequence[Any] | npt.NDArray[Any], datatype: str) -> bytes:
    """The values' raw bytes."""
    if datatype != BYTES:
        packed: bytes = np.asarray(values, dtype=DTYPES[datatype]).tobytes()
        return packed
    parts: list[bytes] = []
    for value in values.ravel() if isinstance(values, np.ndarray) else values:
        text = str(value).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def _flat(data: object, name: str, axes: int) -> list[Any]:
    """The values of lists that are nested up to `axes` deep."""
    if not isinstance(data, list):
        raise protocol_error(name, "data should be a list")
    for _ in range(max(1, axes - 1)):
        if not (data and isinstance(data[0], list)):
            return data
        if not all(isinstance(row, list) for row in data):
            raise protocol_error(name, "data should be nested evenly")
        data = list(chain.from_iterable(data))
    return data


def _unpack(raw: bytes, datatype: str, name: str) -> Sequence[Any] | npt.NDArray[Any]:
    if datatype != BYTES:
        dtype = DTYPES[datatype]
        if len(raw) % dtype.itemsize:
            raise protocol_error(
                name, f"{len(raw)} bytes are not a whole number of {datatype} values"
            )
        values: npt.NDArray[Any] = np.frombuffer(raw, dtype)
        return values
    texts: list[str] = []
    start = 0
    while start < len(raw):
        if start + 4 > len(raw):
            raise protocol_error(name, "the length of a string is truncated")
        (length,) = _LENGTH.unpack_from(raw, start)
        start += 4 + length
        if start > len(raw):
            raise protocol_error(name, "a string is truncated")
        try:
            texts.append(raw[start - length : start].decode())
        except UnicodeDecodeError:
            raise protocol_error(name, f"string {len(texts)} is not UTF-8") from None
    return texts
