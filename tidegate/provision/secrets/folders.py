"""Folders that `tidegate secrets init` creates, each owned by the user that writes to it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.provision.errors import ProvisionError, reason
from tidegate.provision.secrets.inventory import APPLICATION_UID

_OWNED_FOLDER: Final = re.compile(r"(?P<path>/.*?)(=(?P<uid>\d{1,9}):(?P<gid>\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class OwnedFolder:
    """A folder and its owner."""

    path: Path
    uid: int = APPLICATION_UID
    gid: int = APPLICATION_UID

    def create(self) -> str:
        """Create the folder and set its owner; its contents stay unchanged."""
        try:
            created = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            status = self.path.stat()
            if (status.st_uid, status.st_gid) == (self.uid, self.gid):
                return "created" if created else "unchanged"
            os.chown(self.path, self.uid, self.gid)
        except OSError as error:
            raise ProvisionError(
                f"{self.path} cannot be created with owner {self.uid}:{self.gid}: {reason(error)}"
            ) from error
        return f"owner set to {self.uid}:{self.gid}"


def parse_owned_folder(text: str) -> OwnedFolder:
    """Parse `PATH` or `PATH=UID:GID`; the default owner is the user of Tidegate's containers."""
    match = _OWNED_FOLDER.fullmatch(text)
    if match is None:
        raise ProvisionError(f"--own {text}: must be an absolute PATH or PATH=UID:GID")
    path = Path(match["path"])
    return (
        OwnedFolder(path)
        if match["uid"] is None
        else OwnedFolder(path, int(match["uid"]), int(match["gid"]))
    )
