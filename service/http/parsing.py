"""Parsing of a long body in a thread, so that the event loop handles other requests meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from tidegate.service.model.loaded_model import Model

THREAD_BYTES: Final = 32_768
"""Longer bodies of nested lists are parsed in a thread: 32 KiB take about 1 ms."""
T = TypeVar("T")


async def in_thread_if_long(model: Model, size: int, parse: Callable[[], T]) -> T:
    """The result of `parse`, called in a thread if the body is long for this model's inputs.

    Args:
        model: the model.
        size: the number of bytes of JSON in the body.
        parse: parses the body; called once.
    """
    if size > THREAD_BYTES and model.inputs.parse_in_thread:
        return await asyncio.to_thread(parse)
    return parse()
