"""Output for a person, on a stream that may fail: the disk is full, or the pipe has no reader."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, AnyStr


def write_or_lose(stream: IO[AnyStr], data: AnyStr) -> None:
    """Write data through to the stream. If the stream fails the data is lost; the caller goes on.

    A component that reports what it does must do it all the same when the report cannot be written.
    """
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError:
        _discard_from_now_on(stream)
    except (OSError, ValueError):  # ValueError: it is closed, or cannot encode the text
        return


def _discard_from_now_on(stream: IO[AnyStr]) -> None:
    """What is still buffered would be written at the process's end, fail, and change its exit code."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
