"""Background loops that do not end in silence.

The exception of an asyncio task is kept until somebody awaits the task: a loop that raises would stop its
work without a word until the process ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tidegate.runtime.backoff import Backoff

OnFault = Callable[[str, Exception, float], None]
"""Called with the name of what failed, the exception, and the seconds until it runs again."""

Sleep = Callable[[float], Awaitable[None]]


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    on_fault: OnFault,
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Run until it returns or is cancelled; after an exception again, from the state that it left.

    The waits grow. `on_fault` reports an exception, such as `EventLog.fault`.
    """
    backoff = Backoff(immediate=0)
    while True:
        started = time.monotonic()
        try:
            return await run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must be reported
            wait = backoff.failed(time.monotonic() - started)
            on_fault(name, error, wait)
        await sleep(wait)
