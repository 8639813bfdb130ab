"""The programs that scripts/kubernetes builds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from support.components import unavailable

CACHE: Final = (
    Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate") / "kubernetes"
)
BIN: Final = CACHE / "bin"


def program(name: str) -> str:
    """The path of a built program."""
    return str(BIN / name)


def missing(*names: str) -> list[str]:
    """Those that are not built."""
    return [name for name in names if not os.access(BIN / name, os.X_OK)]


def require_built(*names: str) -> None:
    """Skip the test if one is not built; where all components are required, fail."""
    if absent := missing(*names):
        unavailable(_reason(absent))


def skip_unless_built(*names: str) -> None:
    """Skip the test if one is not built, also where all components are required.

    The control plane takes an hour to build, so `make test` uses it only where somebody built it.
    """
    if absent := missing(*names):
        pytest.skip(_reason(absent))


def _reason(absent: list[str]) -> str:
    return f"not built: {', '.join(absent)} (run `scripts/kubernetes build`, an hour)"
