"""How a running stack reports its status: as a live view, as plain lines, or through a pipe."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, Any, Final, Protocol

import aiohttp
from rich.live import Live
from rich.text import Text

from tidegate.runtime.event_log import Entry
from tidegate.runtime.keep_running import keep_running
from tidegate.runtime.terminal_output import write_or_discard
from tidegate.stack.data_folder import Layout
from tidegate.stack.snapshot import take_snapshot
from tidegate.stack.supervisor.status import StackStatus
from tidegate.stack.supervisor.supervisor import Supervisor
from tidegate.terminal.status_view import line, view
from tidegate.terminal_console import Console

REFRESH_SECONDS: Final = 1.0


class StatusReporter(Protocol):
    """Reports the status of a stack that runs in `run_stack`."""

    def entry(self, entry: Entry) -> None:
        """Report an entry of the event log."""
        ...

    def ready(self, status: StackStatus) -> None:
        """Report that everything is ready."""
        ...

    def failed(self, text: str) -> None:
        """Report that the start failed."""
        ...

    def watching(self, supervisor: Supervisor) -> Any:
        """An asynchronous context in which the reporter may read the supervisor's status."""
        ...


def _print(console: Console, text: str | Text, **options: Any) -> None:
    """Print a line; one that cannot be written is lost.

    By default rich buffers output that a full disk refuses, and exits when a pipe has no reader.
    """
    with suppress(OSError, ValueError):  # the end of a capture flushes earlier output
        with console.capture() as captured:
            console.print(text, **{"soft_wrap": True, **options})
        write_or_discard(console.file, captured.get())


def addresses(status: StackStatus) -> str:
    """The addresses of the console, the service and Prometheus."""
    console = f"the console is at {status.console}\n" if status.console else ""
    return (
        f"{console}the service answers at {status.gateway} (try {status.gateway}/docs), "
        f"Prometheus at {status.prometheus}"
    )


@dataclass(slots=True)
class PlainStatusReporter:
    """Prints a line for each entry."""

    console: Console

    def entry(self, entry: Entry) -> None:
        """Print it."""
        _print(self.console, line(entry))

    def ready(self, status: StackStatus) -> None:
        """Print the addresses."""
        _print(self.console, addresses(status), highlight=False)

    def failed(self, text: str) -> None:
        """Print the reason."""
        _print(self.console, text, style="red", highlight=False)

    @asynccontextmanager
    async def watching(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Do nothing: the lines report everything."""
        del supervisor
        yield


@dataclass(slots=True)
class LiveStatusReporter:
    """Shows the whole stack and updates the view each second."""

    console: Console

    def entry(self, entry: Entry) -> None:
        """Do nothing: the next update shows it."""

    def ready(self, status: StackStatus) -> None:
        """Print the addresses above the view."""
        text = f"{addresses(status)}; Ctrl-C stops everything"
        _print(self.console, text, highlight=False, soft_wrap=False)

    def failed(self, text: str) -> None:
        """Print the reason."""
        _print(self.console, text, style="red", highlight=False)

    @asynccontextmanager
    async def watching(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Update the view until the block ends, which is when everything has stopped."""
        with Live(console=self.console, auto_refresh=False) as live:
            drawing = asyncio.create_task(
                keep_running(
                    "status view",
                    lambda: self._draw(live, supervisor),
                    supervisor.event_log.fault,
                )
            )
            try:
                yield
            finally:
                drawing.cancel()
                with suppress(asyncio.CancelledError):
                    await drawing
        _print(self.console, "stopped")

    async def _draw(self, live: Live, supervisor: Supervisor) -> None:
        logs = Layout(supervisor.settings.stack.data_dir).logs
        async with aiohttp.ClientSession(trust_env=False) as session:
            while True:
                status = await supervisor.status_with_versions()
                rendered = view(await take_snapshot(status, session, logs), time.time())
                # In a thread, as a terminal that Ctrl-S has stopped must not stop the supervisor.
                with suppress(OSError):
                    await asyncio.to_thread(live.update, rendered, refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)


@dataclass(slots=True)
class PipeStatusReporter:
    """Reports to the process that waits for the start, one JSON object a line, then closes the pipe."""

    pipe: IO[str]
    plain: PlainStatusReporter

    def entry(self, entry: Entry) -> None:
        """Print the entry, and send it while the other process reads."""
        self.plain.entry(entry)
        self._send(entry=asdict(entry))

    def ready(self, status: StackStatus) -> None:
        """Send the addresses and close the pipe."""
        self._send(ready=addresses(status))
        self.close()

    def failed(self, text: str) -> None:
        """Print the reason, send it and close the pipe."""
        self.plain.failed(text)
        self._send(failed=text)
        self.close()

    @asynccontextmanager
    async def watching(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Do nothing: the lines report everything."""
        async with self.plain.watching(supervisor):
            yield

    def close(self) -> None:
        """Close the pipe; the other process reads its end."""
        with suppress(OSError):
            self.pipe.close()

    def _send(self, **message: Any) -> None:
        if not self.pipe.closed:
            try:
                self.pipe.write(json.dumps(message) + "\n")
                self.pipe.flush()
            except OSError:  # the other process no longer reads
                self.close()
