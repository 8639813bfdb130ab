"""A TCP relay on loopback that can be away or hang, in front of a server that others use too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Relay:
    """Passes bytes to a port; while `passes` is not set it accepts connections and passes nothing."""

    target: int
    passes: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _accepting: set[asyncio.Task[Any] | None] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            writer.close()
            return
        self._accepting.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._copy(source, sink))
            self._tasks.add(task)

    async def close(self) -> None:
        """Break every connection, also one that is being accepted now."""
        self._closed = True
        await asyncio.gather(*filter(None, self._accepting), return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        self._tasks.clear()
        self._writers.clear()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self.passes.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


@asynccontextmanager
async def relay(port: int, target: int) -> AsyncIterator[Relay]:
    """A relay from a port to another; its end breaks the connections."""
    one = Relay(target)
    one.passes.set()
    server = await asyncio.start_server(one.accept, "127.0.0.1", port)
    try:
        yield one
    finally:
        server.close()
        await one.close()
        await server.wait_closed()
