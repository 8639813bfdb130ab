"""What the resizers' processes share: their name, and the token that clients send."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tidegate.runtime.daemon import CannotStartError
from tidegate.runtime.secret_files import SecretFileError, read_secret

NODE: Final = "resizer"


def read_token(path: Path | None) -> str:
    """The token that clients send.

    Args:
        path: `resizer.token_file`.

    Raises:
        CannotStartError: it is not set, or the file cannot be read or is empty.
    """
    name = "resizer.token_file"
    if path is None:
        raise CannotStartError(
            f"{name}: not set; it must name the file with the token that clients send"
        )
    try:
        return read_secret(path, name)
    except SecretFileError as error:
        raise CannotStartError(str(error)) from error
