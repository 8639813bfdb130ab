"""What the resizers' processes share: their name, and the tokens that clients may send."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from tidegate.runtime.daemon import CannotStartError
from tidegate.runtime.secret_files import ReplaceableSecret, SecretFileError

NODE: Final = "resizer"


def open_token(path: Path | None) -> ReplaceableSecret:
    """The tokens that clients may send.

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
        return ReplaceableSecret(path, name, time.monotonic)
    except SecretFileError as error:
        raise CannotStartError(str(error)) from error
