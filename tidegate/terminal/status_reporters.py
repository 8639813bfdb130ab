"""How a running stack reports its status: as lines, or through a pipe."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from rich.text import Text

from tidegate.runtime.event_log import Entry
from tidegate.runtime.terminal_output import write_or_discard
from tidegate.stack.supervisor.status import StackStatus
from tidegate.terminal.status_view import line
from tidegate.terminal_console import Console


def _print(console: Console, text: str | Text, **options: Any) -> None:
    """Print a line; one that cannot be written is lost.

    By default rich buffers output that a full disk refuses, and exits when a pipe has no reader.
    """
    with suppress(OSError, ValueError):  # the end of a capture flushes earlier output
        with console.capture() as captured:
            console.print(text, soft_wrap=True, **options)
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
    # A thread, as a terminal that Ctrl-S has stopped must not stop the supervisor. One keeps the order, and
    # the end of the process waits for it.
    printer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1), init=False)

    def entry(self, entry: Entry) -> None:
        """Print it."""
        self._print(line(entry))

    def ready(self, status: StackStatus) -> None:
        """Print the addresses."""
        self._print(f"{addresses(status)}; Ctrl-C stops everything", highlight=False)

    def failed(self, text: str) -> None:
        """Print the reason."""
        self._print(text, style="red", highlight=False)

    def _print(self, text: str | Text, **options: Any) -> None:
        self.printer.submit(_print, self.console, text, **options)


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


StatusReporter = PlainStatusReporter | PipeStatusReporter
"""Reports the status of a stack that runs in `run_stack`."""
