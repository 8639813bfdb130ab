"""Files that hold one secret each: a password or a token; and the login with a password."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

# Kubernetes replaces the file in each pod at another time, within two minutes.
GRACE_SECONDS: Final = 300.0


class SecretFileError(ValueError):
    """A secret cannot be read. Its text names the setting, the file and the reason."""


def read_secret(path: Path, setting: str) -> str:
    """The text of a secret's file, without the whitespace around it.

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


def read_login(username: str, password_file: Path | None, setting: str) -> tuple[str, str] | None:
    """The user and the password that its file holds now; None without a user.

    Raises:
        SecretFileError: there is a user and no file, or as `read_secret`.
    """
    if not username:
        return None
    if password_file is None:
        raise SecretFileError(f"{setting} is needed with a username")
    return username, read_secret(password_file, setting)


def authorization(login: tuple[str, str] | None) -> dict[str, str]:
    """The header of HTTP's Basic scheme for a login, in UTF-8; empty without one."""
    if login is None:
        return {}
    return {"Authorization": f"Basic {b64encode(':'.join(login).encode()).decode()}"}


@dataclass(slots=True)
class ReplaceableSecret:
    """A secret whose file may be replaced while both ends of a connection use it.

    The one before stays valid for `GRACE_SECONDS`, since the other end may not have the new one yet. While
    the file cannot be read, the last one stays in use.
    """

    path: Path
    setting: str
    clock: Callable[[], float]
    _current: str = field(init=False)
    _previous: str | None = field(default=None, init=False)
    _replaced_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        """Read it once.

        Raises:
            SecretFileError: as `read_secret`.
        """
        self._current = read_secret(self.path, self.setting)

    def __call__(self) -> tuple[str, ...]:
        """The values that are valid now, the newest first."""
        now = self.clock()
        with suppress(SecretFileError):
            found = read_secret(self.path, self.setting)
            if found != self._current:
                self._current, self._previous, self._replaced_at = found, self._current, now
        if self._previous is None or now - self._replaced_at > GRACE_SECONDS:
            return (self._current,)
        return (self._current, self._previous)
