"""The fields of a form of these pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BYTES: Final = 10_000


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields by name, without empty ones; what is not UTF-8 is replaced, and refused as a value.

    Raises:
        HTTPException: the body is too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"a form has at most {MAX_BYTES} bytes")
    return dict(parse_qsl(body.decode(errors="replace")))
