"""The signals of a running stack."""

from __future__ import annotations

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import cast

from support.eventually import eventually_async
from tidegate.stack.supervisor.supervisor import Supervisor
from tidegate.terminal.run import _stop_signals


async def test_the_first_signal_kills_nothing_also_when_another_stack_has_taken_over() -> None:
    killed: list[int] = []
    stack = SimpleNamespace(to_stop=asyncio.Event(), kill=lambda: killed.append(1))
    with _stop_signals(cast("Supervisor", stack)):
        stack.to_stop.set()  # it finishes its requests, and a person presses Ctrl-C
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually_async(lambda: killed)
    assert killed == [1]
