"""The version stamp of a data volume: the version of Elasticsearch that wrote it.

Elasticsearch also refuses data of a newer version, but only in its log. Elasticsearch owns the volume and
these functions run as root, so they follow no symbolic link in it.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Final

from tidegate.provision.errors import ProvisionError, reason
from tidegate.runtime.atomic_files import write_atomically

STAMP_FILE: Final = "tidegate-elastic-version"
# The default of ELASTIC_VERSION in docker-compose.yml.
ELASTIC_VERSION: Final = "9.5.3"
Version = tuple[int, int, int]
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})")


def parse_version(text: str) -> Version | None:
    """`9.5.3` as numbers; None if the text is not a version."""
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def stamp_problem(stamp: str, running: str) -> str:
    """Why the version to run cannot use a volume with this stamp, which may be empty; empty if it can."""
    current, written = parse_version(running), parse_version(stamp)
    if current is None:
        return f"--stack-version {running} (ELASTIC_VERSION in Compose): must look like {ELASTIC_VERSION}"
    if not stamp:
        return ""
    if written is None:
        return f"{STAMP_FILE} in the data volume contains {stamp[:40]!r} instead of a version: correct it"
    if written <= current:
        return ""
    return (
        f"the data volume was written by Elasticsearch {stamp} and this stack runs {running}:"
        f" start Elasticsearch {stamp} or later, or restore a backup into a new volume"
    )


def read_stamp(volume: Path) -> str:
    """Read the stamp of a volume; empty if there is none."""
    path = volume / STAMP_FILE
    try:
        # O_NONBLOCK: opening a FIFO without a writer would block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.read(descriptor, 100).decode("utf-8", "replace").strip()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ProvisionError(f"{path} is a symbolic link: remove it") from error
        raise ProvisionError(f"{path} cannot be read: {reason(error)}") from error


def write_stamp(volume: Path, running: str) -> None:
    """Stamp a volume with this version."""
    path = volume / STAMP_FILE
    try:
        volume.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{running}\n", mode=0o644)
    except OSError as error:
        raise ProvisionError(f"{path} cannot be written: {reason(error)}") from error
