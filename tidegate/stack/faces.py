"""How a running stack shows itself: alive in a terminal, as plain lines, or through a pipe."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, Any, Final, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from tidegate.runtime.event_log import Entry
from tidegate.runtime.terminal_output import write_or_discard
from tidegate.stack.layout import Layout
from tidegate.stack.measures import measure
from tidegate.stack.probe import asking
from tidegate.stack.recent import last_decisions
from tidegate.stack.status import StackStatus
from tidegate.stack.supervisor import Supervisor
from tidegate.stack.view import LOG_LINES, line, log_of, view

REFRESH_SECONDS: Final = 1.0


class Face(Protocol):
    """What `run_stack` shows itself through."""

    def entry(self, entry: Entry) -> None:
        """Something happened."""
        ...

    def ready(self, status: StackStatus) -> None:
        """Everything is ready."""
        ...

    def failed(self, text: str) -> None:
        """The start failed."""
        ...

    def watching(self, supervisor: Supervisor) -> Any:
        """An asynchronous context in which the face may look at the supervisor."""
        ...


def _print(console: Console, text: str | Text, **options: Any) -> None:
    """Print a line; one that cannot be written is lost.

    Left to itself, rich keeps all that a full disk does not take, and exits when nobody reads a pipe.
    """
    with suppress(OSError, ValueError):  # at its end a capture flushes what was printed before
        with console.capture() as captured:
            console.print(text, soft_wrap=True, **options)
        write_or_discard(console.file, captured.get())


def places(status: StackStatus) -> str:
    """Where to look, once everything is ready."""
    return (
        f"the service answers at {status.gateway} (try {status.gateway}/docs), "
        f"Prometheus at {status.prometheus}"
    )


@dataclass(slots=True)
class PlainFace:
    """A line for each thing that happens."""

    console: Console

    def entry(self, entry: Entry) -> None:
        """Print it."""
        _print(self.console, line(entry))

    def ready(self, status: StackStatus) -> None:
        """Print where to look."""
        _print(self.console, places(status), highlight=False)

    def failed(self, text: str) -> None:
        """Print why."""
        _print(self.console, text, style="red", highlight=False, markup=False)

    @asynccontextmanager
    async def watching(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Nothing to look at: the lines say it."""
        del supervisor
        yield


@dataclass(slots=True)
class LiveFace:
    """The whole stack, drawn again each second."""

    console: Console

    def entry(self, entry: Entry) -> None:
        """The next drawing has it."""

    def ready(self, status: StackStatus) -> None:
        """Say where to look, above the drawing."""
        _print(self.console, f"{places(status)}; Ctrl-C stops everything", highlight=False)

    def failed(self, text: str) -> None:
        """Print why."""
        _print(self.console, text, style="red", highlight=False, markup=False)

    @asynccontextmanager
    async def watching(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Draw until the block ends."""
        with Live(console=self.console, auto_refresh=False) as live:
            drawing = asyncio.create_task(self._draw(live, supervisor))
            try:
                yield
            finally:
                drawing.cancel()
                with suppress(asyncio.CancelledError):
                    await drawing

    async def _draw(self, live: Live, supervisor: Supervisor) -> None:
        logs = Layout(supervisor.settings.stack.data_dir).logs
        async with asking() as (_, fetch):
            while True:
                status = supervisor.status()
                measures = await measure(fetch, status.prometheus)
                log = log_of(status, last_decisions(logs, LOG_LINES))
                picture = view(status, measures, log, time.time())
                # In a thread, as a terminal that is halted by Ctrl-S must not halt the supervisor.
                with suppress(OSError):
                    await asyncio.to_thread(live.update, picture, refresh=True)
                await asyncio.sleep(REFRESH_SECONDS)


@dataclass(slots=True)
class PipeFace:
    """Tells the process that waits for the start, as one JSON object a line; then closes the pipe."""

    pipe: IO[str]
    plain: PlainFace

    def entry(self, entry: Entry) -> None:
        """Tell it, as long as somebody listens; it stands in the supervisor's output too."""
        self.plain.entry(entry)
        self._tell(entry=asdict(entry))

    def ready(self, status: StackStatus) -> None:
        """Tell it, and let the other go."""
        self._tell(ready=places(status))
        self.close()

    def failed(self, text: str) -> None:
        """Tell it, and let the other go."""
        self.plain.failed(text)
        self._tell(failed=text)
        self.close()

    @asynccontextmanager
    async def watching(self, supervisor: Supervisor) -> AsyncIterator[None]:
        """Nothing to look at."""
        async with self.plain.watching(supervisor):
            yield

    def close(self) -> None:
        """Close the pipe; the other sees its end."""
        with suppress(OSError):
            self.pipe.close()

    def _tell(self, **message: Any) -> None:
        if not self.pipe.closed:
            try:
                self.pipe.write(json.dumps(message) + "\n")
                self.pipe.flush()
            except OSError:  # it no longer waits
                self.close()
