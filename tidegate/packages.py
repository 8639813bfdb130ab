"""Packages that a command needs and that the default installation, which is that of an application, lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OWN: Final = frozenset({"loadgen", "service", "tidegate"})
BAD_USE: Final = 2


@contextmanager
def required() -> Iterator[None]:
    """End the process with 2 if a package is not installed that this block imports, and say which it is."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in OWN:
            raise
        sys.stderr.write(
            f"this command needs the package {package}, which is not installed; pip install"
            " 'tidegate[all]' installs all that the commands need\n"
        )
        sys.exit(BAD_USE)
