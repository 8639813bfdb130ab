"""How the one-shot jobs report and end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from tidegate.provision.errors import ProvisionError

Report = Callable[[str], None]
"""Receives a line for each step of a job."""

# Each line is flushed, so that the progress is visible.
show: Report = partial(print, flush=True)


def warn(line: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(f"{line}\n")


def run_job(job: Callable[[Report], None]) -> int:
    """Run a job, which prints its steps.

    Returns:
        0; or 2 if it fails, with the reason on stderr.
    """
    try:
        job(show)
    except ProvisionError as error:
        warn(str(error))
        return 2
    return 0
