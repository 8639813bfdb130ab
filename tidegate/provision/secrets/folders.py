"""Folders that a one-shot makes and gives to the user who writes there."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.provision.problems import ProvisionError, reason
from tidegate.provision.secrets.inventory import OURS

_OWNED: Final = re.compile(r"(?P<path>/.*?)(=(?P<uid>\d{1,9}):(?P<gid>\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class Owned:
    """A folder and whose it is."""

    path: Path
    uid: int = OURS
    gid: int = OURS

    def make(self) -> str:
        """Make it, and make it theirs; what lies in it is left alone.

        Raises:
            ProvisionError: that cannot be done.
        """
        try:
            made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            now = self.path.stat()
            if (now.st_uid, now.st_gid) == (self.uid, self.gid):
                return "made" if made else "as it was"
            os.chown(self.path, self.uid, self.gid)
        except OSError as error:
            raise ProvisionError(
                f"{self.path} cannot be made a folder of {self.uid}:{self.gid}: {reason(error)}"
            ) from error
        return f"given to {self.uid}:{self.gid}"


def owned(text: str) -> Owned:
    """What `PATH` or `PATH=UID:GID` means; without an owner, it is our own user.

    Raises:
        ProvisionError: it is neither.
    """
    match = _OWNED.fullmatch(text)
    if match is None:
        raise ProvisionError(f"--own {text}: must be an absolute PATH or PATH=UID:GID")
    path = Path(match["path"])
    return (
        Owned(path) if match["uid"] is None else Owned(path, int(match["uid"]), int(match["gid"]))
    )
