"""A TCP server on loopback that says whatever a test likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[int]:
    """The port of a server that speaks so on each connection, and closes it then.

    A peer may leave at any time. No connection outlives the server: it would outlive its loop too, and fail
    whichever test runs when it is collected.
    """
    talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    ended = False

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await speak(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if ended:  # accepted before the end, and told only now
            writer.transport.abort()
        else:
            talks[asyncio.create_task(talk(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        ended = True
        server.close()
        for one in talks:
            one.cancel()
        results = await asyncio.gather(*talks, return_exceptions=True)
        # Not in the talk, which does not run at all if it is cancelled before it began.
        for writer in talks.values():
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        for result in results:
            if isinstance(result, Exception):
                raise result
