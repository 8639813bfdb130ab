"""Real components that may be missing on a machine."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def unavailable(what: str) -> NoReturn:
    """Skip, because a component cannot be had; where all are required, fail."""
    if os.environ.get("TIDEGATE_REQUIRE_ALL") == "1":
        pytest.fail(what)
    pytest.skip(what)
