"""Scenarios: descriptions of load in TOML, built in or in a file of the user."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.rates import Constant, Ramp, Segment, Spike, Steps
from tidegate.loadgen.plan.traces import Departures, Trace, departure_segments, trace_segments

BUILT_IN: Final = Path(__file__).parents[1] / "scenarios"
MAX_REQUESTS: Final = 1_000_000
"""Limits the memory of a run (about 250 bytes per request)."""
MAX_ROUTES: Final = 200

AnyPhase = Annotated[
    Constant | Steps | Ramp | Spike | Trace | Departures, Field(discriminator="kind")
]
Arrivals = Literal["even", "poisson"]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Weights(BaseModel):
    """The relative frequency of each kind of request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    light: Weight = 0.0
    medium: Weight = 0.0
    heavy: Weight = 0.0

    @model_validator(mode="after")
    def _some(self) -> Weights:
        if not (self.light or self.medium or self.heavy):
            raise ValueError("at least one weight must be greater than 0")
        return self


class Route(BaseModel):
    """One kind of request of a scenario."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    """Name in the report and in thresholds."""
    weight: Weight = 1.0
    """Relative frequency."""
    method: str = "GET"
    """HTTP method."""
    path: str
    """Path, with a query if it needs one."""
    headers: dict[str, str] = {}
    """Headers of each request, beside those of `--header`."""
    body: str | tuple[str, ...] = ()
    """Body of each request, or several that they take in turn."""
    checks: tuple[str, ...] = ()
    """What each response must pass, as with `--check`."""


class Scenario(BaseModel):
    """A scenario file."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}$")
    """Name in the report."""
    description: str = Field(default="", max_length=500)
    """Purpose of the scenario, in a sentence."""
    arrivals: Arrivals = "even"
    """`even`: at equal intervals; `poisson`: at random, independently of each other."""
    weights: Weights = Weights(light=1, medium=1, heavy=1)
    """Relative frequencies of the kinds of request, for a model."""
    routes: Annotated[tuple[Route, ...], Field(max_length=MAX_ROUTES)] = ()
    """What is sent instead, for an application of several routes."""
    phases: Annotated[tuple[AnyPhase, ...], Field(min_length=1, max_length=1000)]
    """Phases, executed one after the other."""

    @model_validator(mode="after")
    def _routes_differ(self) -> Scenario:
        if self.routes and not any(route.weight for route in self.routes):
            raise ValueError("at least one weight must be greater than 0")
        if len({route.name for route in self.routes}) < len(self.routes):
            raise ValueError("each route needs a name of its own")
        return self


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scenario with its traces read: the input of a plan, apart from the seed."""

    name: str
    description: str
    arrivals: Arrivals
    weights: Mapping[str, float]
    """The kinds of request with a weight above 0: those of rows, or the names of the routes."""
    segments: tuple[Segment, ...]
    routes: tuple[Route, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration."""
        return float(sum(segment.seconds for segment in self.segments))

    @property
    def requests(self) -> Fraction:
        """Number of requests: the integral of the rate."""
        return sum((segment.requests for segment in self.segments), Fraction(0))


def built_in() -> list[str]:
    """Return the names of the built-in scenarios."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def load_schedule(name: str) -> Schedule:
    """Read a built-in scenario or a TOML file, and its traces.

    Raises:
        UsageError: the scenario does not exist or is invalid; the message names the file and the field.
    """
    path = _find(name)
    return _schedule(_read(path), path)


def constant_schedule(rate: float, seconds: float) -> Schedule:
    """A constant rate at equal intervals, of requests with one row.

    Raises:
        UsageError: it has too many requests, or none.
    """
    phase = Constant(kind="constant", seconds=seconds, rate=rate)
    scenario = Scenario(name=f"rate {rate:g}", weights=Weights(light=1), phases=(phase,))
    return _schedule(scenario, Path("--rate"))


def _schedule(scenario: Scenario, path: Path) -> Schedule:
    segments = tuple(
        segment for phase in scenario.phases for segment in _segments(phase, path.parent)
    )
    weights = {route.name: route.weight for route in scenario.routes}
    schedule = Schedule(
        scenario.name,
        scenario.description,
        scenario.arrivals,
        {kind: weight for kind, weight in (weights or dict(scenario.weights)).items() if weight},
        segments,
        scenario.routes,
    )
    if schedule.requests > MAX_REQUESTS:
        raise UsageError(
            f"{path}: plans {float(schedule.requests):,.0f} requests; the maximum is {MAX_REQUESTS:,}"
        )
    if schedule.requests <= Fraction(1, 2):
        raise UsageError(f"{path}: plans no requests")
    return schedule


def _find(name: str) -> Path:
    if name in built_in():
        return BUILT_IN / f"{name}.toml"
    path = Path(name)
    if path.is_file():
        return path
    raise UsageError(
        f"unknown scenario {name!r}; expected one of {', '.join(built_in())}, or the path of a TOML file"
    )


def _read(path: Path) -> Scenario:
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: invalid TOML: {error}") from error
    except ValidationError as error:
        raise UsageError("\n".join(_explain(path, error))) from error


def _segments(phase: AnyPhase, folder: Path) -> Iterator[Segment]:
    match phase:
        case Trace():
            return trace_segments(phase, folder)
        case Departures():
            return departure_segments(phase)
        case _:
            return phase.segments()


def _explain(path: Path, error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        location, reason, given = item["loc"], item["msg"], item["input"]
        # Pydantic inserts the kind of the phase between its index and the field.
        if location[:1] == ("phases",) and len(location) > 2:
            location = location[:2] + location[3:]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
        if item["type"] == "extra_forbidden":
            reason = "unknown field"
        elif not isinstance(given, dict | list):
            reason += f" (got {given!r})"
        yield f"{path}: {field.removeprefix('.')}: {reason}"
