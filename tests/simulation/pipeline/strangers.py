"""Other programs that touch event files, which they should not."""

from __future__ import annotations

from random import Random

from ..world.files import FILE, FileSystem, Folder
from .ledger import Ledger


def interfere(files: FileSystem, ledger: Ledger, logs: str, kind: str, random: Random) -> None:
    """Cut, delete, replace or link one of the event files."""
    folder = files.get(logs)
    assert isinstance(folder, Folder)
    names = [name for name, inode in folder.names.items() if inode.kind == FILE]
    if not names:
        return
    name = random.choice(names)
    path, inode = f"{logs}/{name}", folder.names[name]
    if kind == "cut":
        size = random.choice((0, random.randint(0, len(inode.data))))
        if size < len(inode.data):
            inode.change(size, b"")
            ledger.cut(inode)
    elif kind == "delete":
        if not files.unlink(path).links:
            ledger.removed(inode)
    elif kind == "replace":
        copy = files.new(FILE, 0o640)
        copy.links = 1
        copy.data += inode.data[: random.randint(0, len(inode.data))]
        if not files.unlink(path).links:
            ledger.removed(inode)
        folder.rename({name: copy})
    elif files.find(target := f"{logs}/{kind}-{random.randint(0, 9)}.ndjson") is None:
        if kind == "link":
            files.link(path, target)
        else:
            files.symlink(target)
