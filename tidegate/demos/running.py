"""What both demos do: they run the public commands, wait for events, and print what was checked."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime

from rich.text import Text

from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import SearchRequest
from tidegate.terminal_console import Console


def run_module(environment: Mapping[str, str], *command: str) -> int:
    """Run a module with its arguments. Returns its exit code."""
    return subprocess.run(
        [sys.executable, "-P", "-m", *command], env=environment, check=False
    ).returncode


def wait_for_events(
    settings: Settings, query: str, since: datetime, count: int, seconds: float
) -> int:
    """Wait until the store has this number of events. Returns the number that it has at the end."""
    request = SearchRequest(query=query, since=since, size=0)
    deadline = time.monotonic() + seconds
    with closing(open_store(settings, read_only=True)) as store:
        while (found := store.search(request).total) < count and time.monotonic() < deadline:
            time.sleep(settings.collector.poll_seconds)
    return found


def heading(console: Console, text: str) -> None:
    """Print the heading of a step."""
    console.rule(Text(text, style="bold"))


def result(console: Console, text: str, *, passed: bool) -> None:
    """Print what was checked, and whether it holds."""
    mark = ("✓", "green") if passed else ("✗", "red")
    console.print(Text.assemble(mark, f" {text}"), highlight=False)
