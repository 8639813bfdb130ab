"""Threads for the functions of an application that are not coroutines."""

from __future__ import annotations

from typing import Final

SPARE: Final = 8
"""Threads beside those of requests in slots: for probes, documentation and background tasks."""


def allow_threads(slots: int) -> None:
    """Let the running event loop have a thread for each slot; call it in a coroutine.

    anyio, by which Starlette runs plain functions, allows 40 by default. With more slots, requests would wait
    for a thread while they hold a slot, and that wait would count as service time.
    """
    try:
        from anyio import to_thread  # noqa: PLC0415  other frameworks do not need it
    except ImportError:
        return
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, slots + SPARE)
