"""Reading a request's body: its type, its size, its encoding, its JSON."""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import orjson
from starlette.types import Receive, Scope

from tidegate.service.http.body_types import BODY
from tidegate.service.model.loaded_model import Model
from tidegate.service.request_errors import NOT_FINITE, Detail, Loc, RequestError
from tidegate.service.serving.client_disconnect import client_disconnected

# zlib's window bits: 16 more for gzip's header. "deflate" means zlib's own (RFC 9110, 8.4.1.2).
_GZIP: Final = 16 + zlib.MAX_WBITS
MAX_MEMBERS: Final = 64
"""Largest number of gzip members in a body: the bytes after each one are copied."""
SEARCHED_BYTES: Final = 16_384
"""Longer bodies are not searched for the fields that contain NaN: 16 KiB take up to 9 ms."""
THREAD_BYTES: Final = 32_768
"""Longer bodies of nested lists are parsed in a thread, as 32 KiB take about 1 ms of the event loop."""
T = TypeVar("T")
_WINDOW_BITS: Final = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": zlib.MAX_WBITS}


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """The headers of a request; of a name that occurs twice the first one."""
    return dict(reversed(scope["headers"]))


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, limit: int, *, check_type: bool = True
) -> bytes:
    """Read and decode the body, of at most `limit` bytes before and after decoding.

    Raises:
        RequestError: 413 too large; 415 unsupported content type or encoding; 400 the encoding is invalid;
            499 the client disconnected.
    """
    if check_type:
        _check_type(headers.get(b"content-type", b""))
    window_bits = _window_bits(headers.get(b"content-encoding", b""))
    declared = byte_count(headers.get(b"content-length", b""))
    if declared is not None and declared > limit:
        # The server discards the rest, so that the client reads this response.
        raise _too_large(limit)
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise client_disconnected()
        more = message.get("more_body", False)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise _too_large(limit)
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    return body if window_bits is None else _inflate(body, window_bits, limit)


def byte_count(text: bytes) -> int | None:
    """The length in bytes in a header; None if it is not a number."""
    # Python refuses to parse an integer of more than 4300 digits; no length has more than 19.
    return int(text) if text.isdigit() and len(text) < 20 else None


def parse_json(body: bytes) -> Any:
    """Parse a JSON body.

    Raises:
        RequestError: 400 it is not JSON; 422 it contains NaN or infinity, naming the fields: in a long
            body only the position, as a search for the fields would block the event loop.
    """
    if not body.strip():
        raise RequestError(400, Detail(BODY, "The body is empty; expected JSON", "json_invalid"))
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if _is_not_finite(error):
            message = "Input should be a finite number; JSON has no NaN or infinity"
            locations = list(_not_finite(body)) if len(body) <= SEARCHED_BYTES else []
            details = [Detail(location, message, NOT_FINITE) for location in locations]
            at = Detail(BODY, f"{message} (character {error.pos + 1})", NOT_FINITE)
            raise RequestError(422, *(details or [at])) from None
        message = f"The body is not JSON: {error}"
        raise RequestError(400, Detail(BODY, message, "json_invalid")) from None


async def in_thread_if_long(model: Model, size: int, parse: Callable[[], T]) -> T:
    """The result of `parse`, in a thread if the body of `size` bytes is long for this model's inputs."""
    if size > THREAD_BYTES and model.inputs.parse_in_thread:
        return await asyncio.to_thread(parse)
    return parse()


def _is_not_finite(error: orjson.JSONDecodeError) -> bool:
    """Whether orjson failed at NaN, infinity or a number beyond float64."""
    return error.doc.startswith(("NaN", "Infinity"), error.pos) or "infinity" in error.msg


def _not_finite(body: bytes) -> Iterator[Loc]:
    try:
        value = json.loads(body)  # Python's own parser accepts NaN and infinity
    except (ValueError, RecursionError):
        return
    open_values: list[tuple[Loc, Any]] = [(BODY, value)]
    found = 0
    while open_values and found < 20:
        loc, value = open_values.pop()
        if isinstance(value, dict):
            open_values += [((*loc, key), item) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            open_values += [((*loc, i), item) for i, item in reversed([*enumerate(value)])]
        elif isinstance(value, float) and not math.isfinite(value):
            found += 1
            yield loc


def _check_type(content_type: bytes) -> None:
    if content_type == b"application/json":
        return
    name = content_type.decode("latin-1").partition(";")[0].strip().lower()
    if name == "application/json" or name.endswith("+json"):
        return
    message = f"The content type should be application/json, got {name[:80] or 'none'}"
    raise RequestError(415, Detail(("header", "content-type"), message, "content_type"))


def _window_bits(encoding: bytes) -> int | None:
    name = encoding.decode("latin-1").strip().lower()
    if name in {"", "identity"}:
        return None
    if name not in _WINDOW_BITS:
        message = f"The content encoding should be gzip or deflate, got {name[:80]}"
        detail = Detail(("header", "content-encoding"), message, "content_encoding")
        raise RequestError(415, detail, headers={"Accept-Encoding": "gzip, deflate"})
    return _WINDOW_BITS[name]


def _inflate(body: bytes, window_bits: int, limit: int) -> bytes:
    plain = bytearray()
    for _ in range(MAX_MEMBERS):
        stream = zlib.decompressobj(window_bits)
        try:
            # One byte over the limit shows that the body is too large, without inflating all of a zip bomb.
            plain += stream.decompress(body, limit + 1 - len(plain))
        except zlib.error as error:
            raise _not_decoded(f"The body cannot be decoded: {error}") from None
        if len(plain) > limit:
            raise _too_large(limit)
        if not stream.eof:
            raise _not_decoded("The encoded body is truncated")
        body = stream.unused_data
        if not body:
            return bytes(plain)
        if window_bits != _GZIP:  # only gzip has members (RFC 1952, 2.2)
            raise _not_decoded(f"{len(body)} bytes follow the encoded body")
    raise _not_decoded(f"The body has more than {MAX_MEMBERS} gzip members; compress it as one")


def _not_decoded(message: str) -> RequestError:
    return RequestError(400, Detail(BODY, message, "content_encoding"))


def _too_large(limit: int) -> RequestError:
    return RequestError(
        413, Detail(BODY, f"The body may have at most {limit} bytes", "body_too_large")
    )
