"""Output to a stream that may fail, because the disk is full or the pipe has no reader."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import IO, AnyStr


def write_or_discard(stream: IO[AnyStr], data: AnyStr) -> None:
    """Write data and flush the stream. If the stream fails, the data is lost and nothing is raised.

    A component must continue its work when its report cannot be written.
    """
    try:
        stream.write(data)
        stream.flush()
    except BrokenPipeError:
        _redirect_to_null(stream)
    except (OSError, ValueError):  # ValueError: it is closed, or cannot encode the text
        return


def _redirect_to_null(stream: IO[AnyStr]) -> None:
    """Else the flush of the buffer at the end of the process fails and changes the exit code."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
