"""Stores secrets in the folders of their consumers: written atomically, readable only by the consumer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.provision.errors import ProvisionError, reason
from tidegate.provision.secrets.inventory import Consumer, Secret
from tidegate.runtime.atomic_files import atomic_file, remove_leftovers

CAPABILITIES: Final = "run it as root with the capabilities CHOWN, DAC_OVERRIDE and FOWNER"


@dataclass(frozen=True, slots=True)
class SecretStorage:
    """The folders of all consumers below one folder."""

    root: Path
    consumers: Mapping[str, Consumer]

    def read(self, consumer: str, name: str) -> str:
        """A consumer's copy of a secret; empty if there is none."""
        path = self.root / consumer / name
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, ValueError) as error:
            text = reason(error) if isinstance(error, OSError) else "it is not text"
            raise ProvisionError(f"{path} cannot be read: {text}") from error

    def write(self, consumer: str, name: str, value: str) -> None:
        """Write a consumer's copy atomically and durably; an equal value is not rewritten."""
        owner = self.consumers[consumer]
        folder = self.root / consumer
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.read(consumer, name) != value:
                self._replace(folder / name, value, owner)
            set_owner(folder / name, owner.uid, owner.gid, owner.mode)
            # Last: without the capability FOWNER, a folder of another user cannot be changed.
            set_owner(folder, owner.uid, owner.gid, owner.folder_mode)
        except OSError as error:
            hint = f"; {CAPABILITIES}" if isinstance(error, PermissionError) else ""
            raise ProvisionError(
                f"{folder / name} cannot be written: {reason(error)}{hint}"
            ) from error

    def remove(self, consumer: str, name: str) -> None:
        """Remove a secret from the folder of a former consumer."""
        path = self.root / consumer / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ProvisionError(f"{path} cannot be removed: {reason(error)}") from error

    @staticmethod
    def _replace(path: Path, value: str, owner: Consumer) -> None:
        remove_leftovers(path)
        with atomic_file(path, mode=owner.mode) as file:
            file.write(value.encode())
            set_owner(Path(file.name), owner.uid, owner.gid, owner.mode)


def set_owner(path: Path, uid: int, gid: int, mode: int) -> None:
    """Set the owner and the mode of a file if they differ."""
    status = path.stat()
    if status.st_mode & 0o7777 != mode:
        path.chmod(mode)
    if (status.st_uid, status.st_gid) != (uid, gid):
        os.chown(path, uid, gid)


def distribute(
    table: Sequence[Secret], supplied: Mapping[str, str], storage: SecretStorage
) -> dict[str, str]:
    """Store one value of each secret in the folders of all its consumers.

    A supplied value takes precedence, then an existing copy (the first in the order of consumers); otherwise
    a value is generated. So the next start completes an interrupted one.

    Returns:
        The outcome of each secret as text, by name. It contains no value.

    Raises:
        ProvisionError: a folder cannot be read or written.
    """
    return {
        secret.name: _distribute_one(secret, supplied.get(secret.name, ""), storage)
        for secret in table
    }


def _distribute_one(secret: Secret, supplied: str, storage: SecretStorage) -> str:
    copies = {consumer: storage.read(consumer, secret.name) for consumer in secret.consumers}
    previous = next((value for value in copies.values() if value), "")
    value = supplied or previous or secret.generate()
    for consumer in secret.consumers:
        storage.write(consumer, secret.name, value)
    for consumer in storage.consumers.keys() - set(secret.consumers):
        storage.remove(consumer, secret.name)
    outdated = [consumer for consumer, copy in copies.items() if copy != value]
    if not outdated:
        return "unchanged"
    if not previous:
        return "set to the supplied value" if supplied else "created"
    if value != previous:
        return f"changed to the supplied value: {secret.rotation_note}"
    return f"copied to {', '.join(outdated)}"
