"""Images of the Docker engine, unpacked by containerd once and kept for the next cluster.

Importing Tidegate's images takes a minute or two, a copy of what the import made two seconds: files of image
layers never change, so the copy shares them.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from support.commands import output, run, succeeds
from support.kubernetes.programs import CACHE

FOLDER: Final = CACHE / "image-store"
LOCK: Final = CACHE / "image-store.lock"
DATABASES: Final = "*.db"


def provide(root: Path, images: list[str], import_into: Callable[[Path], None]) -> None:
    """Fill containerd's folder, which does not exist yet, with these images.

    If they have changed since the last time, they are imported.
    """
    stored = FOLDER / _digest(images)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        # Another cluster, which starts at the same time, may be importing the same images.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stored.exists():
            # Those of earlier builds, two gigabytes each time. A running cluster keeps its links to them.
            for other in FOLDER.iterdir():
                shutil.rmtree(other)
            work = FOLDER / "import"
            import_into(work)
            work.rename(stored)
        _copy(stored, root)


def _digest(images: list[str]) -> str:
    """A name for exactly these images."""
    found = run("docker", "image", "inspect", "--format", "{{.Id}}", *images)
    if found.returncode:
        raise RuntimeError(f"{found.stderr.strip()} (run `scripts/docker images kubernetes`)")
    listed = "".join(
        f"{name} {digest}\n" for name, digest in zip(images, found.stdout.split(), strict=True)
    )
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def _copy(stored: Path, root: Path) -> None:
    if not succeeds("cp", "-a", "-l", stored, root):  # another file system
        shutil.rmtree(root, ignore_errors=True)
        output("cp", "-a", stored, root)
        return
    for database in stored.rglob(DATABASES):
        own = root / database.relative_to(stored)
        own.unlink()
        shutil.copy2(database, own)
