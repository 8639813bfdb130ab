"""Other programs that touch event files, which they should not."""

from __future__ import annotations

from random import Random

from ..world.files import FILE, FileSystem, Folder
from .invariants import LOGS, Invariants


def interfere(files: FileSystem, invariants: Invariants, kind: str, random: Random) -> None:
    """Cut, delete, replace or link one of the event files."""
    folder = files.get(LOGS)
    assert isinstance(folder, Folder)
    names = [name for name, inode in folder.names.items() if inode.kind == FILE]
    if not names:
        return
    name = random.choice(names)
    path, inode = f"{LOGS}/{name}", folder.names[name]
    if kind == "cut":
        size = random.choice((0, random.randint(0, len(inode.data))))
        if size < len(inode.data):
            inode.change(size, b"")
            inode.modified_ns = files.now_ns
            invariants.cut(inode)
    elif kind == "delete":
        if not files.unlink(path).links:
            invariants.removed(inode, name)
    elif kind == "replace":
        first = files.new(FILE, 0o640) if random.random() < 0.5 else None
        if not files.unlink(path).links:
            invariants.removed(inode)
        copy = first or files.new(FILE, 0o640)  # the second may get the number of the file
        copy.links = 1
        copy.data += inode.data[: random.randint(0, len(inode.data))]
        folder.rename({name: copy})
    elif files.find(target := f"{LOGS}/{kind}-{random.randint(0, 9)}.ndjson") is None:
        if kind == "link":
            files.link(path, target)
        else:
            files.symlink(target)
