"""Files that hold one secret each: a password or a token."""

from __future__ import annotations

from pathlib import Path


class SecretFileError(ValueError):
    """A secret cannot be read. Its text names the setting, the file and the reason."""


def read_secret(path: Path, setting: str) -> str:
    """The text of a secret's file, without the whitespace around it.

    Args:
        path: the file.
        setting: the name of the setting that holds the path.

    Raises:
        SecretFileError: it cannot be read, is not text, or is empty.
    """
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SecretFileError(f"{setting}: {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SecretFileError(f"{setting}: {path} is not text") from error
    if not secret:
        raise SecretFileError(f"{setting}: {path} is empty")
    return secret
