"""Packages that a command imports and that the default installation, meant for applications, lacks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Final

OWN_PACKAGES: Final = frozenset({"tidegate"})
EXIT_USAGE: Final = 2
# Those that `all` does not contain: few people need them, and each has hundreds of megabytes.
FURTHER_EXTRAS: Final = ("train", "kubernetes", "parquet")
_DISTRIBUTIONS: Final = {"sklearn": "scikit-learn", "grpc": "grpcio", "google": "protobuf"}


def extra_with(module: str, importers: Iterable[str] = ()) -> str:
    """The extra that installs the package of a module; `all` if it is in none of the further ones.

    Of the modules that import it, those of the laboratory have an extra of their own.
    """
    from importlib.metadata import requires  # noqa: PLC0415  it has an eighth of what `--help` imports

    of_lab = any(name.startswith("tidegate.lab.") for name in importers)
    extras = (*FURTHER_EXTRAS, "lab") if of_lab else FURTHER_EXTRAS
    name = _DISTRIBUTIONS.get(module, module)
    for requirement in requires("tidegate") or ():
        found = re.match(rf"{re.escape(name)}\b.*extra == ['\"](\w+)['\"]", requirement)
        if found and found[1] in extras:
            return found[1]
    return "all"


@contextmanager
def exit_if_package_missing() -> Iterator[None]:
    """If an import in this block fails, name the missing package on stderr and exit with 2."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in OWN_PACKAGES:
            raise
        frames = walk_tb(error.__traceback__)
        extra = extra_with(package, [frame.f_globals.get("__name__", "") for frame, _ in frames])
        sys.stderr.write(
            f"this command needs the package {package}, which is not installed: pip install"
            f" 'tidegate[{extra}]'\n"
        )
        sys.exit(EXIT_USAGE)
