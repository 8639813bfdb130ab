"""The supervisor of `up --detach`: `python -m tidegate.terminal.detached FD [--replace]`.

It reports its start to its parent process through the pipe FD.
"""

from __future__ import annotations

import asyncio
import os
import sys

from tidegate.settings import load
from tidegate.terminal.run import run_stack
from tidegate.terminal.status_reporters import PipeStatusReporter, PlainStatusReporter
from tidegate.terminal_console import Console


def main() -> int:
    """Run it. Returns the exit code."""
    pipe = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    reporter = PipeStatusReporter(pipe, PlainStatusReporter(Console(file=sys.stdout, width=200)))
    try:
        return asyncio.run(run_stack(load(), reporter, replace="--replace" in sys.argv))
    finally:
        reporter.close()


if __name__ == "__main__":
    sys.exit(main())
