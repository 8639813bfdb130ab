"""Secrets in their consumers' folders: each file whole or not at all, and only its reader's."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.provision.problems import ProvisionError, reason
from tidegate.provision.secrets.inventory import Consumer, Secret
from tidegate.runtime.atomic_files import atomic_file, remove_leftovers

CAPABILITIES: Final = "run it as root with the capabilities CHOWN, DAC_OVERRIDE and FOWNER"


@dataclass(frozen=True, slots=True)
class Keep:
    """The folders of all consumers, below one."""

    root: Path
    consumers: Mapping[str, Consumer]

    def read(self, consumer: str, name: str) -> str:
        """A consumer's copy of a secret; empty if it has none."""
        path = self.root / consumer / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            text = reason(error) if isinstance(error, OSError) else "it is not text"
            raise ProvisionError(f"{path} cannot be read: {text}") from error

    def put(self, consumer: str, name: str, value: str) -> None:
        """Make a consumer's copy this value, durably and at once; the same again changes nothing."""
        reader = self.consumers[consumer]
        folder = self.root / consumer
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.read(consumer, name) != value:
                self._replace(folder / name, value, reader)
            give(folder / name, reader.uid, reader.gid, reader.mode)
            # Last: without the capability FOWNER, a folder that was given away cannot be changed.
            give(folder, reader.uid, reader.gid, reader.folder_mode)
        except OSError as error:
            hint = f"; {CAPABILITIES}" if isinstance(error, PermissionError) else ""
            raise ProvisionError(
                f"{folder / name} cannot be written: {reason(error)}{hint}"
            ) from error

    def remove(self, consumer: str, name: str) -> None:
        """Take a secret away from one who reads it no longer."""
        path = self.root / consumer / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ProvisionError(f"{path} cannot be removed: {reason(error)}") from error

    @staticmethod
    def _replace(path: Path, value: str, reader: Consumer) -> None:
        remove_leftovers(path)
        with atomic_file(path, mode=reader.mode) as file:
            file.write(value.encode())
            give(Path(file.name), reader.uid, reader.gid, reader.mode)


def give(path: Path, uid: int, gid: int, mode: int) -> None:
    """Make a file someone's, in this mode; nothing is done where it is so."""
    now = path.stat()
    if now.st_mode & 0o7777 != mode:
        path.chmod(mode)
    if (now.st_uid, now.st_gid) != (uid, gid):
        os.chown(path, uid, gid)


def settle(table: Sequence[Secret], given: Mapping[str, str], keep: Keep) -> dict[str, str]:
    """Give each secret one value in all of its consumers' folders.

    A given value wins, then the one that a consumer has already (the first in the table's order), and only
    what nobody has is made. So a start that was cut off in the middle is finished by the next one.

    Returns:
        What was done with each, in words, by name. No value is in them.

    Raises:
        ProvisionError: a folder cannot be read or written.
    """
    return {secret.name: _settle(secret, given.get(secret.name, ""), keep) for secret in table}


def _settle(secret: Secret, given: str, keep: Keep) -> str:
    held = {consumer: keep.read(consumer, secret.name) for consumer in secret.consumers}
    before = next((value for value in held.values() if value), "")
    value = given or before or secret.make()
    for consumer in secret.consumers:
        keep.put(consumer, secret.name, value)
    for consumer in keep.consumers.keys() - set(secret.consumers):
        keep.remove(consumer, secret.name)
    late = [consumer for consumer, had in held.items() if had != value]
    if not late:
        return "as it was"
    if not before:
        return "taken as given" if given else "made"
    if value != before:
        return f"changed to the given value: {secret.when_changed}"
    return f"copied to {', '.join(late)}"
