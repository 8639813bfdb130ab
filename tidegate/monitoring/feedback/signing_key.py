"""The key that signs prediction ids: all replicas share it, and other users cannot read it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from tidegate.runtime.atomic_files import atomic_file
from tidegate.settings import Settings, SettingsError

KEY_FILE: Final = "prediction.key"
MIN_BYTES: Final = 16


def prediction_key(settings: Settings) -> bytes:
    """The key from `drift.prediction_key_file`, or else from the data folder, where it is created if absent.

    Raises:
        SettingsError: the file cannot be read or created, or the key is too short.
    """
    named = settings.drift.prediction_key_file
    if named is not None:
        return _read(named, "drift.prediction_key_file")
    file = settings.stack.data_dir / KEY_FILE
    if not file.exists():
        _create(file)
    return _read(file, "stack.data_dir")


def _read(file: Path, setting: str) -> bytes:
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{setting}: {file} cannot be read: {error.strerror}") from error
    if len(key) < MIN_BYTES:
        raise SettingsError(f"{setting}: the key in {file} has fewer than {MIN_BYTES} bytes")
    return key


def _create(file: Path) -> None:
    # Replicas that start at the same time all get the first one's key, and none reads an incomplete key.
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file, overwrite=False) as opened:
            opened.write(f"{secrets.token_hex(32)}\n".encode())
    except OSError as error:
        raise SettingsError(
            f"stack.data_dir: cannot write a key to {file}: {error.strerror}"
        ) from error
