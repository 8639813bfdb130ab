"""An output stream on which every write fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest


@pytest.fixture(params=["full disk", "no reader", "closed"])
def failing(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    """A stream on which every write fails."""
    if request.param == "full disk":
        stream: TextIO = Path("/dev/full").open("w")  # noqa: SIM115
    else:
        read_end, write_end = os.pipe()
        os.close(read_end)
        stream = os.fdopen(write_end, "w")
    if request.param == "closed":
        stream.close()
    yield stream
    with suppress(OSError):
        stream.close()
