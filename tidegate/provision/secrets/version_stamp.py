"""The stamp of a data volume: which version of Elasticsearch may have written it.

Elasticsearch refuses data of a newer version, too, but deep in a log that a person has to find first.
The volume is Elasticsearch's and these functions run as root, so they follow no symbolic link in it.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Final

from tidegate.provision.problems import ProvisionError, reason
from tidegate.runtime.atomic_files import write_atomically

NAME: Final = "tidegate-elastic-version"
# What docker-compose.yml runs without ELASTIC_VERSION.
ELASTIC_VERSION: Final = "9.5.3"
Version = tuple[int, int, int]
_VERSION: Final = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})")


def version(text: str) -> Version | None:
    """`9.5.3` as numbers; None if it is no version."""
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def stamp_problem(stamp: str, running: str) -> str:
    """Why a volume with this stamp cannot be used by this version; empty if it can.

    Args:
        stamp: what stands in the volume; empty if nothing does.
        running: the version that the stack would start.
    """
    ours, theirs = version(running), version(stamp)
    if ours is None:
        return f"--stack-version {running} (ELASTIC_VERSION in Compose): must look like {ELASTIC_VERSION}"
    if not stamp:
        return ""
    if theirs is None:
        return f"{NAME} in the data volume holds {stamp[:40]!r} where a version belongs: correct it"
    if theirs <= ours:
        return ""
    return (
        f"the data volume was written by Elasticsearch {stamp} and this stack runs {running}:"
        f" start Elasticsearch {stamp} or later, or restore a backup into a new volume"
    )


def read_stamp(volume: Path) -> str:
    """What stands in the volume; empty if nothing does.

    Raises:
        ProvisionError: it cannot be read.
    """
    path = volume / NAME
    try:
        # O_NONBLOCK: a FIFO without a writer would be waited for.
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
    """Say in the volume that this version writes it.

    Raises:
        ProvisionError: it cannot be written.
    """
    path = volume / NAME
    try:
        volume.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"{running}\n", mode=0o644)
    except OSError as error:
        raise ProvisionError(f"{path} cannot be written: {reason(error)}") from error
