"""The folder of a run: what is kept of it, and how it is read again."""

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
LATEST: Final = "latest"


def new_folder(out: Path, now: datetime) -> Path:
    """Make the folder of a run, named after its time in UTC.

    Raises:
        UsageError: it cannot be made.
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
    raise UsageError(f"--out {out}: holds too many runs of {name}")


def write_run(folder: Path, summary: Summary, recording: Recording, series: Signals) -> None:
    """Write the figures and point `latest` at the folder."""
    text = summary.model_dump_json(indent=2) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")
    _write_lines(folder / REQUESTS, record.to_csv(recording))
    _write_lines(folder / SIGNALS, replica_signals.to_csv(series))
    _point(folder.parent / LATEST, folder.name)


def read_run(folder: Path) -> tuple[Summary, Recording, Signals]:
    """What `write_run` wrote.

    Raises:
        UsageError: the folder does not hold a run; the text names the file and what is wrong.
    """
    path = folder / SUMMARY
    try:
        summary = Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{folder} does not hold a run: {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: is not a run's summary: {where}: {first['msg']}") from error
    return summary, record.read_csv(folder / REQUESTS), replica_signals.read_csv(folder / SIGNALS)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def _point(link: Path, name: str) -> None:
    # A rename is atomic: who reads `latest` meanwhile finds the old run or the new one.
    aside = link.with_name(f".{link.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    aside.symlink_to(name)
    aside.replace(link)
