"""The files of a run: writing and reading them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tidegate.loadgen.report import replica_signals
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.runs import LATEST, SUMMARY, read_summary
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.send import record
from tidegate.loadgen.send.record import Recording

REQUESTS: Final = "requests.csv"
SIGNALS: Final = "signals.csv"


def write_run(folder: Path, summary: Summary, recording: Recording, series: Signals) -> None:
    """Write the files of a run, and let the link `latest` point to its folder."""
    text = summary.model_dump_json(indent=2) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    _write_lines(folder / REQUESTS, record.to_csv(recording))
    _write_lines(folder / SIGNALS, replica_signals.to_csv(series))
    _set_link(folder.parent / LATEST, folder.name)


def read_run(folder: Path) -> tuple[Summary, Recording, Signals]:
    """Read the files that `write_run` wrote.

    Raises:
        UsageError: a file is missing or invalid; the message names it and the reason.
    """
    summary = read_summary(folder)
    recording = record.read_csv(folder / REQUESTS)
    recording.until = summary.until
    return summary, recording, replica_signals.read_csv(folder / SIGNALS)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def _set_link(link: Path, name: str) -> None:
    # Atomic: a concurrent reader finds the old link or the new one.
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.replace(link)
