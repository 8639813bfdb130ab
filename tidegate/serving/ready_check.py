"""The function by which an application says whether it can serve, as a check of `/ready`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tidegate.serving.app_loader import LoadError, load_attribute, required_arguments
from tidegate.serving.failures import describe
from tidegate.telemetry import get_logger

log = get_logger("tidegate.serving.ready_check")

ReadyFunction = Callable[[], bool | Awaitable[bool]]


class ReadyCheck:
    """Calls the function at each check of `/ready`, and logs a failure once per state change.

    A coroutine function is awaited; a plain one runs in the event loop, so it must return at once.
    """

    def __init__(self, function: ReadyFunction, name: str) -> None:
        self._function: Final = function
        self._name = name
        self._problem = ""

    async def problem(self) -> str:
        """Why the application cannot serve; empty if it can."""
        problem, error = "", None
        try:
            answer: Any = self._function()
            if inspect.isawaitable(answer):
                answer = await answer
            if not answer:
                problem = f"{self._name} returned {answer!r}"
        except Exception as raised:  # noqa: BLE001  then the application cannot serve
            problem, error = f"{self._name} failed: {describe(raised)}", raised
        if error is not None and problem != self._problem:
            log.error("the check of readiness failed", reason=problem, exc_info=error)
        self._problem = problem
        return problem


def load_ready_check(target: str) -> ReadyCheck:
    """The check with the function of this name, such as `shop.main:is_ready`.

    Raises:
        LoadError: it cannot be loaded, or is not a function without required arguments.
    """
    function: Any = load_attribute(target, "a function", "shop.main:is_ready")
    if not callable(function) or required_arguments(function):
        raise LoadError(
            f"{target} is no function without required arguments; name one that returns whether the "
            "application is ready"
        )
    return ReadyCheck(function, target)
