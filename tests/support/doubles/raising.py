"""A function in another's place that fails."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import NoReturn


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """A function that raises a copy of this error at each call: a raised one keeps its frames."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise copy(error)

    return fail


def no_space_left() -> Callable[..., NoReturn]:
    """A function that fails as on a full disk."""
    return raising(OSError(28, "No space left on device"))
