"""One-sentence messages for errors of the operating system: the file or port, the reason and what to do."""

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
    errno.EACCES: "{}: permission denied for this user: change its permissions, or use another path",
    errno.EPERM: "{}: operation not permitted for this user: change its permissions, or use another path",
    errno.EROFS: "{} is on a read-only file system: use another path",
    errno.ENOSPC: "{}: no space left on the disk: free some space",
    errno.EDQUOT: "{}: disk quota of this user exceeded: free some space",
    errno.ENOENT: "{} does not exist",
    errno.ENOTDIR: "{}: a part of this path is a file, not a folder: use another path",
    errno.EISDIR: "{} is a folder, not a file: use another path",
    errno.EEXIST: "{} exists and is not a folder: use another path",
}


def os_error_message(error: OSError) -> str:
    """The message of an error about a file: its path, the reason and what to do."""
    # For a rename, filename2 is the target.
    filename = error.filename2 or error.filename
    path = filename if isinstance(filename, str) else ""
    known = MESSAGES.get(error.errno or 0)
    if path and known:
        return known.format(path)
    text = error.strerror or str(error)
    return f"{path}: {text}" if path else text


@contextmanager
def naming_path(path: Path) -> Iterator[None]:
    """Add a path to errors of the block that have none, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def connection_error_message(error: Exception) -> str:
    """Why a connection failed; aiohttp's own message contains its TLS setting and numeric addresses."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, socket.gaierror):
        return "the host name cannot be resolved"
    if isinstance(cause, ssl.SSLError):  # its errno is a number of OpenSSL
        return str(cause)
    number = getattr(cause, "errno", None)
    if number:
        return os.strerror(number).lower()
    return getattr(cause, "strerror", None) or str(error) or type(error).__name__


def port_error_message(error: OSError, setting: str, port: int) -> str:
    """The message of an error about a port to listen on: the setting, the reason and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"{setting}: port {port} is taken, by the running stack if `tidegate status` shows one:"
            f" stop it (`tidegate down`), or set {setting} to a free port"
        )
    return f"{setting}: port {port} cannot be opened: {error.strerror or error}"
