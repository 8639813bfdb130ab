"""What each demo does with a running stack: it runs the public commands, and waits for events."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime

from tidegate.settings import Settings
from tidegate.store import open_store
from tidegate.store.base import SearchRequest


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
