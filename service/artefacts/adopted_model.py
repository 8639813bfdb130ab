"""The model that replicas share where nothing supervises them: in Docker Compose.

The one-shot `adopt` names its artefact in a file, which each replica reads and holds locked while it runs. So
replicas that start later serve the same model, whatever stands at `model.path` by then.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tidegate.runtime.locks import try_lock
from tidegate.runtime.private_files import FILE_MODE
from tidegate.service.model.artefact import Artefact, load, retain
from tidegate.settings import Settings, is_import_string

NAME_BYTES: Final = 255
MOUNTS: Final = Path("/proc/self/mountinfo")


def adopt(found: Artefact, path: Path, settings: Settings) -> Artefact:
    """Let replicas serve an artefact as the model of `path`, unless one runs; returns what they serve.

    What is part of the image is not adopted: it changes with the replicas' image, and with nothing else.

    Raises:
        ArtefactError: what they serve cannot be read.
        OSError: a file cannot be written.
    """
    if is_import_string(path) or not _is_mounted(path):
        return found
    artefacts = settings.stack.data_dir / "artefacts"
    kept = retain(found, artefacts)
    descriptor = os.open(_file(path, artefacts), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        if not try_lock(descriptor):
            return _read(descriptor, artefacts)
        # One write: a process can be killed between two.
        os.pwrite(descriptor, kept.path.name.ljust(NAME_BYTES).encode(), 0)
    finally:
        os.close(descriptor)
    return kept


def adopted(path: Path, settings: Settings) -> Artefact | None:
    """The adopted model of `path`, which stays so while this process runs; None without one.

    Raises:
        ArtefactError: it cannot be read.
    """
    artefacts = settings.stack.data_dir / "artefacts"
    try:
        descriptor = os.open(_file(path, artefacts), os.O_RDONLY)
    except FileNotFoundError:
        return None
    return _read(descriptor, artefacts)  # locked to the end of the process


def served_now(artefacts: Path) -> Iterator[Path]:
    """The adopted models that a replica serves now."""
    for file in artefacts.glob("adopted-*"):
        with file.open("rb+") as opened:
            if not try_lock(opened.fileno()):
                yield artefacts / opened.read().decode().rstrip()


def _read(descriptor: int, artefacts: Path) -> Artefact:
    """The model that the file names; waits for an `adopt` that writes it."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return load(artefacts / os.pread(descriptor, NAME_BYTES, 0).decode().rstrip())


def _is_mounted(path: Path) -> bool:
    """Whether it is in a volume or a folder of the host, which can be on the same device as the image."""
    mounts = {line.split()[4] for line in MOUNTS.read_text(encoding="utf-8").splitlines()} - {"/"}
    path = path.resolve()
    return not mounts.isdisjoint(map(str, (path, *path.parents)))


def _file(path: Path, artefacts: Path) -> Path:
    """The file that names the model of a path."""
    return artefacts / f"adopted-{hashlib.sha256(bytes(path)).hexdigest()[:16]}"
