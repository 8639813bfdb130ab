"""The folders of runs, each named after its time, and their summaries."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.report.summary import Summary

SUMMARY: Final = "summary.json"
REPORT: Final = "report.html"
SERIES: Final = "series.json"
LATEST: Final = "latest"
_NAME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d{1,3})?")


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


def is_run(folder: Path) -> bool:
    """Whether a path is the folder of a run, and no link such as `latest`."""
    return bool(_NAME.fullmatch(folder.name)) and folder.is_dir() and not folder.is_symlink()


def ended_runs(out: Path) -> list[Path]:
    """Return the folders of the runs that have ended, newest first."""
    try:
        found = [one for one in out.iterdir() if is_run(one) and (one / SUMMARY).exists()]
    except OSError:  # there is no run yet
        return []
    return sorted(found, reverse=True)


def read_summary(folder: Path) -> Summary:
    """Read the summary of a run.

    Raises:
        UsageError: it is missing or invalid; the message names it and the reason.
    """
    path = folder / SUMMARY
    try:
        return Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{folder} is not the folder of a run: {path}: {error.strerror}"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: invalid summary: {where}: {first['msg']}") from error
