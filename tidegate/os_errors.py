"""What the operating system refuses, in one sentence: which file, folder or port, and what to do."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MESSAGES: Final = {
    errno.EACCES: "{} may not be opened by this user: change its permissions, or name another path",
    errno.EPERM: "{} may not be changed by this user: change its permissions, or name another path",
    errno.EROFS: "{} is on a file system that can only be read: name another path",
    errno.ENOSPC: "{}: no space is left on its disk: free some space",
    errno.EDQUOT: "{}: the disk quota of this user is used up: free some space",
    errno.ENOENT: "{}: there is no such file or folder",
    errno.ENOTDIR: "{}: a part of this path is a file, not a folder: name another path",
    errno.EISDIR: "{} is a folder, not a file: name another path",
    errno.EEXIST: "{} is there already, and is no folder: name another path",
}


def os_error_message(error: OSError) -> str:
    """What is wrong with which file, and what to do about it."""
    # Of a rename it is the place that was to be replaced.
    named = error.filename2 or error.filename
    path = named if isinstance(named, str) else ""
    known = MESSAGES.get(error.errno or 0)
    if path and known:
        return known.format(path)
    text = error.strerror or str(error)
    return f"{path}: {text}" if path else text


@contextmanager
def naming_path(path: Path) -> Iterator[None]:
    """Let an error in this block name a path, where the operating system names none, as on a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def connection_error_message(error: Exception) -> str:
    """Why a connection failed, in words; aiohttp's own name its TLS setting and the numbers of an address."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(cause, ssl.SSLError):  # its number is OpenSSL's
        return str(cause)
    number = getattr(cause, "errno", None)
    return os.strerror(number).lower() if number else str(error) or type(error).__name__


def port_error_message(error: OSError, setting: str, port: int) -> str:
    """Why a port of ours cannot be opened, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"{setting}: port {port} is taken, by the running stack if `tidegate status` shows one:"
            f" end what has it (`tidegate down`), or set {setting} to a free port"
        )
    return f"{setting}: port {port} cannot be opened: {error.strerror or error}"
