"""The key that signs prediction ids: one for all replicas, seen by nobody else."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from tidegate.settings import Settings, SettingsError

KEY_FILE: Final = "prediction.key"
SHORTEST: Final = 16


def prediction_key(settings: Settings) -> bytes:
    """The key in the file of the settings; else the one in the data folder, made if there is none yet.

    Raises:
        SettingsError: the file does not read, or what it holds is too short.
    """
    named = settings.drift.prediction_key_file
    if named is not None:
        return _read(named, "drift.prediction_key_file")
    file = settings.stack.data_dir / KEY_FILE
    if not file.exists():
        _make(file)
    return _read(file, "stack.data_dir")


def _read(file: Path, setting: str) -> bytes:
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{setting}: {file} does not read: {error.strerror}") from error
    if len(key) < SHORTEST:
        raise SettingsError(f"{setting}: the key in {file} has less than {SHORTEST} bytes")
    return key


def _make(file: Path) -> None:
    # Written beside its place and linked into it: replicas that start at once all get the first one's,
    # and none reads half a key.
    own = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_hex(32) + "\n")
        with suppress(FileExistsError):
            os.link(own, file)
        own.unlink()
    except OSError as error:
        raise SettingsError(
            f"stack.data_dir: cannot keep a key at {file}: {error.strerror}"
        ) from error
