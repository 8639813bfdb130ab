"""Types of servers whose responses a test sets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Answer = tuple[int, Any]
Answers = dict[str, Answer | Callable[[Any], Answer]]
"""By `METHOD /path`: a status and a JSON value, or what makes them of the request's JSON."""
Serve = Callable[..., Awaitable[str]]
