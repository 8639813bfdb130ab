"""The files of a run: writing and reading them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.report import replica_signals
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.send import record
from tidegate.loadgen.send.record import Recording

SUMMARY: Final = "summary.json"
REQUESTS: Final = "requests.csv"
SIGNALS: Final = "signals.csv"
REPORT: Final = "report.html"
SERIES: Final = "series.json"
LATEST: Final = "latest"


def new_folder(out: Path, now: datetime) -> Path:
    """Create the folder of a run, named after its time in UTC.

    Raises:
        UsageError: the folder cannot be created.
    """
    name = now.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    for attempt in range(1, 1000):
        folder = out / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not out.is_dir():
                raise UsageError(f"--out {out}: is not a folder") from None
        except OSError as error:
            raise UsageError(f"--out {out}: cannot be written: {error.strerror}") from error
        else:
            return folder
    raise UsageError(f"--out {out}: contains too many runs of {name}")


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
    path = folder / SUMMARY
    try:
        summary = Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{folder} is not the folder of a run: {path}: {error.strerror}"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: invalid summary: {where}: {first['msg']}") from error
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
