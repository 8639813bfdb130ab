"""The runs of the load generator, from the files that it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.console.site import milliseconds

REPORT: Final = "report.html"
MAX_RUNS: Final = 50
MAX_BYTES: Final = 1_000_000
NAME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d{1,3})?")
# A run of two hours with the shortest bins.
MAX_BINS: Final = 7200
M = TypeVar("M", bound=BaseModel)
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _File(BaseModel):
    """What the pages read of a file; other fields are for others."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class SlowRequest(_File):
    """One of the slowest requests of a run."""

    trace_id: str
    planned_seconds: float
    response_seconds: float
    error: str


class Run(_File):
    """The summary of a run. Times in seconds; None is one that failed requests leave unknown."""

    name: str = ""
    """Of its folder; a summary may say anything."""
    problem: ClassVar = ""
    scenario: str
    interrupted: bool
    duration_seconds: float = Field(gt=0)
    slo_seconds: float | None
    sent: Count
    failed: Count
    response_p50_seconds: float | None
    response_p95_seconds: float | None
    response_p99_seconds: float | None
    lag_p99_seconds: float | None
    replicas_max: Count | None
    valid: bool
    invalid_reasons: list[str]
    slowest: list[SlowRequest]

    @property
    def started(self) -> str:
        """When it was started, from its name."""
        return f"{self.name[:10]}T{self.name[11:19].replace('-', ':')}Z"

    @property
    def rate(self) -> float | None:
        """The requests sent per second; None if the run did not take its time."""
        return None if self.interrupted else self.sent / self.duration_seconds

    @property
    def kept(self) -> bool | None:
        """Whether p95 kept the objective of the run; None if it had none."""
        p95, limit = self.response_p95_seconds, self.slo_seconds
        return None if limit is None else p95 is not None and p95 <= limit


class Broken(NamedTuple):
    """A run whose summary cannot be read: the name of its folder, and why."""

    name: str
    problem: str


class Series(_File):
    """A run over time: rates per second and quantiles in seconds, each with a value for each bin."""

    width: float = Field(ge=1, le=3600)
    answered: list[float | None] = Field(max_length=MAX_BINS)
    p95: list[float | None] = Field(max_length=MAX_BINS)


def read_runs(folder: Path) -> list[Run | Broken]:
    """The last runs, newest first; those that have not ended yet are missing."""
    try:
        names = sorted((path.name for path in folder.iterdir() if is_run(path)), reverse=True)
    except OSError:
        return []  # there is no run yet
    found = (_run(folder / name) for name in names[:MAX_RUNS])
    return [one for one in found if one]


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a run, whose names have no other characters than a time has."""
    return bool(NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()


def _run(folder: Path) -> Run | Broken | None:
    try:
        return _read(folder / "summary.json", Run).model_copy(update={"name": folder.name})
    except FileNotFoundError:
        return None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        parts = (".".join(map(str, first["loc"])), first["msg"])
        return Broken(folder.name, ": ".join(filter(None, parts)))
    except (OSError, ValueError) as error:
        return Broken(folder.name, str(error))


def _read(path: Path, kind: type[M]) -> M:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    return kind.model_validate_json(path.read_bytes())


def read_lines(folder: Path, runs: Sequence[Run]) -> Mapping[str, Any] | None:
    """The answers and the p95 of runs on one axis, in seconds since the start of each.

    None if no run has its series: one of an earlier version, which `tidegate loadgen report` adds.
    """
    found: dict[str, Series] = {}
    for number, run in enumerate(runs, 1):
        try:
            series = _read(folder / run.name / "series.json", Series)
        except (OSError, ValueError):
            continue
        found[f"{number} {run.scenario}"] = series
    if not found:
        return None
    width = min(one.width for one in found.values())
    end = max(one.width * len(one.p95) for one in found.values())
    times = [(index + 0.5) * width for index in range(min(MAX_BINS, round(end / width)))]
    return {
        "times": times,
        "values": {
            f"{name} {label}": [_at(getattr(series, name), at / series.width) for at in times]
            for label, series in found.items()
            for name in ("answered", "p95")
        },
    }


def points(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The slowest requests of runs as points that lead to their traces."""
    return [
        {
            "at": one.planned_seconds,
            "value": one.response_seconds,
            "text": f"{number} {run.scenario}: {milliseconds(one.response_seconds)}",
            "url": f"/traces/{one.trace_id}",
        }
        for number, run in enumerate(runs, 1)
        for one in run.slowest
        if one.trace_id
    ]


def objective(runs: Sequence[Run]) -> float | None:
    """The objective of runs in seconds; None if they have none, or different ones."""
    found = {run.slo_seconds for run in runs}
    return found.pop() if len(found) == 1 else None


def _at(column: Sequence[float | None], place: float) -> float | None:
    """The value of the bin at a place."""
    return column[int(place)] if place < len(column) else None


class Pair(NamedTuple):
    """The runs that an address names; empty means the last one, and the one before of the same scenario."""

    run: str
    other: str


def choose(runs: Sequence[Run | Broken], pair: Pair) -> list[Run]:
    """Those to compare: at most two, the first one first."""
    usable = [one for one in runs if isinstance(one, Run)]
    first = next((one for one in usable if pair.run in ("", one.name)), None)
    if not first:
        return []
    older = (one for one in usable if one.name < first.name and one.scenario == first.scenario)
    others = (one for one in usable if one.name == pair.other) if pair.other else older
    return [first, *islice(others, 1)]
