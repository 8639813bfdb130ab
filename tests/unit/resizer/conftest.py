"""Fixtures of the resizer's tests."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.doubles.memory_resizer import MemoryResizer
from support.ports import free_port
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ReplicaStatus, ResizerUnavailableError
from tidegate.settings import Resizer, Settings, load


@pytest.fixture
def resizer() -> MemoryResizer:
    return MemoryResizer()


Process = Callable[[Settings], Coroutine[Any, Any, None]]
Served = Callable[..., Awaitable[tuple[ReplicaStatus, str]]]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """What the process of a resizer serves while it runs: so many replicas, and its metrics."""

    async def ask(run: Process, replicas: int, **resizer: Any) -> tuple[ReplicaStatus, str]:
        token, port = tmp_path / "token", free_port()
        token.write_text("t\n")
        client = ResizerClient(f"http://127.0.0.1:{port}", tokens=lambda: ("t",))
        running = asyncio.create_task(
            run(load(resizer=Resizer(token_file=token, port=port, **resizer)))
        )
        try:
            async with asyncio.timeout(20), aiohttp.ClientSession() as session:
                while True:
                    assert not running.done(), "it runs until it is stopped"
                    try:
                        if (status := await client.status()).running == replicas:
                            break
                    except ResizerUnavailableError:
                        pass
                    await asyncio.sleep(0.01)
                async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                    return status, await response.text()
        finally:
            running.cancel()
            await asyncio.wait([running])

    return ask
