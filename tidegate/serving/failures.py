"""Failures of an application at its start, in one sentence."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

MAX_CHARACTERS: Final = 500
"""Longer texts of exceptions are truncated in a sentence; their event has the whole."""

_INSTALLED: Final = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")}
)
_OWN: Final = str(Path(__file__).resolve().parent)


class LoadingError(Exception):
    """A function of `Loading` cannot load; the text is the complete reason, for people."""


def describe(error: BaseException) -> str:
    """An exception in one line: its type, its text, and where the application's own code raised it."""
    text = " ".join(str(error).split())[:MAX_CHARACTERS]
    where = code_location(error.__traceback__)
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{_shorten(error.filename)}:{error.lineno}"
    name = type(error).__name__
    return f"{name}{f': {text}' if text else ''}{f' ({where})' if where else ''}"


def code_location(found: TracebackType | None) -> str:
    """The innermost line of a traceback outside of installed packages, as `file:line`; may be empty."""
    for frame, line in reversed(list(traceback.walk_tb(found))):
        file = frame.f_code.co_filename
        if not file.startswith((*_INSTALLED, _OWN, "<frozen")):
            return f"{_shorten(file)}:{line}"
    return ""


def _shorten(file: str) -> str:
    """The path, relative to the working directory where it is below."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
