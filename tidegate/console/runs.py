"""The runs of the load generator, from the files that it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeVar

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


class Summary(_File):
    """The summary of a run. Times in seconds; None is one that failed requests leave unknown."""

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
    def rate(self) -> float | None:
        """The requests sent per second; None if the run did not take its time."""
        return None if self.interrupted else self.sent / self.duration_seconds

    @property
    def kept(self) -> bool | None:
        """Whether p95 kept the objective of the run; None if it had none."""
        p95, limit = self.response_p95_seconds, self.slo_seconds
        return None if limit is None else p95 is not None and p95 <= limit


class Series(_File):
    """A run over time: rates per second and quantiles in seconds, each with a value for each bin."""

    width: float = Field(ge=1, le=3600)
    answered: list[float | None] = Field(max_length=MAX_BINS)
    p95: list[float | None] = Field(max_length=MAX_BINS)


@dataclass(frozen=True, slots=True)
class Run:
    """A run: the name of its folder, and its summary, or what is wrong with that."""

    name: str
    summary: Summary | None
    problem: str = ""

    @property
    def started(self) -> str:
        """When it was started, from its name: a summary may say anything."""
        return f"{self.name[:10]}T{self.name[11:19].replace('-', ':')}Z"


def read_runs(folder: Path) -> list[Run]:
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


def _run(folder: Path) -> Run | None:
    try:
        return Run(folder.name, _read(folder / "summary.json", Summary))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return Run(folder.name, None, _reason(error))


def _read(path: Path, kind: type[M]) -> M:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    return kind.model_validate_json(path.read_bytes())


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return str(error)


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
        found[f"{number} {run.summary.scenario if run.summary else run.name}"] = series
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
            "text": f"{number} {run.summary.scenario}: {milliseconds(one.response_seconds)}",
            "url": f"/traces/{one.trace_id}",
        }
        for number, run in enumerate(runs, 1)
        if run.summary
        for one in run.summary.slowest
        if one.trace_id
    ]


def objective(runs: Sequence[Run]) -> float | None:
    """The objective of runs in seconds; None if they have none, or different ones."""
    found = {run.summary.slo_seconds for run in runs if run.summary}
    return found.pop() if len(found) == 1 else None


def _at(column: Sequence[float | None], place: float) -> float | None:
    """The value of the bin at a place."""
    return column[int(place)] if place < len(column) else None


class Pair(NamedTuple):
    """The runs that an address names; empty means the last one, and the one before of the same scenario."""

    run: str
    other: str


def choose(runs: Sequence[Run], pair: Pair) -> list[Run]:
    """Those to compare: at most two, the first one first."""
    usable = [one for one in runs if one.summary]
    first = next((one for one in usable if pair.run in ("", one.name)), None)
    if not first:
        return []
    older = [one for one in usable if one.name < first.name and _scenario(one) == _scenario(first)]
    others = [one for one in usable if one.name == pair.other] if pair.other else older
    return [first, *others[:1]]


def _scenario(run: Run) -> str:
    return run.summary.scenario if run.summary else ""


def figures(chosen: Sequence[Run]) -> list[tuple[str, list[str], str]]:
    """The rows of the comparison: a name, the value of each run, and the change to the first one."""
    found = [one.summary for one in chosen if one.summary]
    if not found:
        return []
    rows = [
        ("Objective", [_objective(one) for one in found], ""),
        _row("Requests", [one.sent for one in found], "{:,.0f}"),
        _row("Sent per second", [one.rate for one in found], "{:.1f}"),
        _row("Failed", [one.failed for one in found], "{:,.0f}"),
    ]
    for name, field in (
        *((f"Latency p{one}", f"response_p{one}_seconds") for one in (50, 95, 99)),
        ("Send lag p99", "lag_p99_seconds"),
    ):
        rows.append(_row(name, [getattr(one, field) for one in found]))
    rows.append(_row("Replicas, at most", [one.replicas_max for one in found], "{:.0f}"))
    return rows


def _row(name: str, values: Sequence[float | None], form: str = "") -> tuple[str, list[str], str]:
    shown = [form.format(one) if form and one is not None else milliseconds(one) for one in values]
    now, before = values[0], values[-1]
    change = f"{now / before - 1:+.0%}" if len(values) > 1 and before and now is not None else ""
    return name, shown, change


def _objective(one: Summary) -> str:
    if one.kept is None:
        return "none"
    return f"{'kept' if one.kept else 'missed'}: p95 within {milliseconds(one.slo_seconds)}"
