"""Packages that a command imports and that the default installation, meant for applications, lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OWN_PACKAGES: Final = frozenset({"tidegate"})
EXIT_USAGE: Final = 2


@contextmanager
def exit_if_package_missing() -> Iterator[None]:
    """If an import in this block fails, name the missing package on stderr and exit with 2."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in OWN_PACKAGES:
            raise
        sys.stderr.write(
            f"this command needs the package {package}, which is not installed; pip install"
            " 'tidegate[all]' installs all that the commands need\n"
        )
        sys.exit(EXIT_USAGE)
