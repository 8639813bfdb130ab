"""How a stack hands its data folder over to the next one, without a failed request (docs/adr/).

The next stack, the successor, starts replicas of its own. Then the running one, the predecessor, stops what
two cannot have at once (collector, Prometheus, what reads them), and the successor starts its own, and a
gateway that takes over the ports. When all is ready, the predecessor finishes its requests and ends. Until
then it serves, and starts again what it has stopped if the connection between the two ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import aiohttp
from aiohttp import WSMsgType, web
from pydantic import ValidationError

from tidegate.runtime.unix_sockets import unix_address
from tidegate.settings import Replicas, Settings
from tidegate.stack.data_folder import Layout, StackRunningError
from tidegate.stack.gateway.configuration import ADMIN_SOCKET
from tidegate.stack.processes.process_supervisor import Program
from tidegate.stack.processes.running_settings import running_settings
from tidegate.stack.supervisor.programs import stop_seconds
from tidegate.stack.supervisor.status import StackStatus

PATH: Final = "/successor"
FOLDERS: Final = ("gateway", "gateway-next")
BUSY: Final = "it starts, stops, or is being replaced already"
POLL_SECONDS: Final = 0.05
# The kernel ends the connections of a killed process and its locks in any order.
RELEASE_SECONDS: Final = 2.0
# A client's connection to the old gateway ends with its next answer; one that is idle for longer is closed.
IDLE_SECONDS: Final = 5.0
# A successor reads what is said to it only between its steps.
CLOSE_SECONDS: Final = 0.1
# One that is stopped (SIGSTOP) does not answer.
ANSWER_SECONDS: Final = 10.0
Step = Literal["pause", "end"]


@dataclass(slots=True)
class Handover:
    """The predecessor's side: the route for a successor.

    Attributes:
        status: of the stack, which it says first.
        pause: stops what two stacks cannot have at once, before the successor starts its own.
        resume: starts that again.
        finish: answers what it has, and lets the stack stop.
    """

    status: Callable[[], StackStatus]
    pause: Callable[[], Awaitable[None]]
    resume: Callable[[], Awaitable[None]]
    finish: Callable[[], Awaitable[None]]
    successor: web.WebSocketResponse | None = field(default=None, init=False)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Do what a successor asks for, as long as it is connected."""
        status = self.status()
        if self.successor or status.state not in {"ready", "degraded"}:
            return web.Response(status=409, text=BUSY)
        self.successor = successor = web.WebSocketResponse(timeout=CLOSE_SECONDS)
        done = ""
        try:
            await successor.prepare(request)
            await successor.send_str(status.model_dump_json())
            while done != "end" and (message := await successor.receive()).type is WSMsgType.TEXT:
                if message.data == "pause":
                    done = "pause"
                    await self.pause()
                await successor.send_str(self.status().model_dump_json())
                done = message.data
        finally:
            if done == "pause":
                await self.resume()
            self.successor = None
        if done == "end":
            await self.finish()
        return successor

    async def stop(self) -> None:
        """Tell a successor that this stack stops; what takes over now is nobody's wish."""
        if self.successor:
            await self.successor.close(code=aiohttp.WSCloseCode.GOING_AWAY)


@dataclass(slots=True)
class Predecessor:
    """The successor's side; `status` is the predecessor's, which may take so many seconds for a step."""

    layout: Layout
    pid: int
    seconds: float
    status: StackStatus
    connection: aiohttp.ClientWebSocketResponse

    def successor_layout(self) -> Layout:
        """The paths of the successor in the same data folder."""
        (name,) = {*FOLDERS} - {self.status.gateway_folder}
        return replace(self.layout, gateway_name=name)

    def desired(self, bounds: Replicas) -> int:
        """How many replicas the successor shall have: as many as it has, within the bounds."""
        least = bounds.min if self.status.pause else bounds.start
        return max(least, min(self.status.desired, bounds.max))

    def taking_over(self, gateway: Program) -> Program:
        """The successor's gateway, which takes over the ports of the predecessor's unless that was killed."""
        if not self.holds():
            return gateway
        socket = f"../{self.status.gateway_folder}/{ADMIN_SOCKET}"
        argv = (*gateway.command.argv, "-x", socket)
        return replace(gateway, command=replace(gateway.command, argv=argv))

    def holds(self) -> bool:
        """Whether it has the data folder."""
        return self.layout.holder() == self.pid

    async def do(self, step: Step) -> None:
        """Let it do a step, and renew its status; if it was killed, there is nothing to do.

        Raises:
            StackRunningError: it has not done it in time, or stops by itself.
        """
        with suppress(ConnectionError):
            await self.connection.send_str(step)
        try:
            message = await self.connection.receive(self.seconds)
        except TimeoutError:
            raise StackRunningError(f"the running stack (pid {self.pid}) does not answer") from None
        stopped = self.connection.close_code == aiohttp.WSCloseCode.GOING_AWAY
        if message.type is WSMsgType.TEXT:
            self.status = StackStatus.model_validate_json(message.data)
        elif stopped or not await self._released(RELEASE_SECONDS):
            raise StackRunningError(f"the running stack (pid {self.pid}) was stopped meanwhile")

    async def end(self) -> None:
        """Let it finish its requests, and wait for its end; if that takes too long, it is killed.

        Raises:
            StackRunningError: as `do`.
        """
        await self.do("end")
        if not await self._released(self.seconds + IDLE_SECONDS):
            os.kill(self.pid, signal.SIGKILL)
            await self._released(RELEASE_SECONDS)

    async def _released(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.holds():  # noqa: ASYNC110  it is another process
                    await asyncio.sleep(POLL_SECONDS)
        return not self.holds()


@asynccontextmanager
async def open_predecessor(layout: Layout, settings: Settings) -> AsyncIterator[Predecessor | None]:
    """The running stack of a data folder, which waits for its successor inside the block; None if none runs.

    The settings are the successor's; they count where those of the running stack cannot be read.

    Raises:
        StackRunningError: it cannot be replaced. The text says why, and what to do.
    """
    pid = layout.holder()
    if pid is None:
        yield None
        return
    with unix_address(layout.socket) as address:
        connector = aiohttp.UnixConnector(address)
        async with aiohttp.ClientSession("http://supervisor", connector=connector) as session:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    connection = await session.ws_connect(PATH)
                    status = StackStatus.model_validate_json(await connection.receive_str())
            except (aiohttp.ClientError, TypeError, ValidationError, TimeoutError) as error:
                conflict = getattr(error, "status", 0) == web.HTTPConflict.status_code
                why = BUSY if conflict else "its version cannot be replaced while it runs"
                if isinstance(error, TimeoutError):
                    why = "it does not answer"
                text = f"the stack in {layout.data} (pid {pid}) goes on: {why}; `tidegate down` stops it"
                raise StackRunningError(text) from error
            async with connection:
                seconds = stop_seconds(running_settings(layout, pid) or settings)
                yield Predecessor(layout, pid, seconds, status, connection)
