"""Traces of real traffic: CSV files and the flight data."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pytest

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan import traces
from tidegate.loadgen.plan.traces import (
    Departures,
    Trace,
    departure_segments,
    departures,
    read_trace,
    trace_segments,
)

HEADER = "year,month,day,dep_time,sched_dep_time,dep_delay\n"


@pytest.mark.parametrize(
    ("text", "unit", "counts"),
    [
        ("second,requests\n0,3\n1,4\n", "second", [3, 4]),
        ("Minute, count\n5,3\n\n8,1\n", "minute", [3, 0, 0, 1]),
        ("\ufeffsecond,n\n0,0.5\n1,2.5\n", "second", [0.5, 2.5]),
    ],
)
def test_a_trace_is_read_with_its_unit_and_gaps(
    tmp_path: Path, text: str, unit: str, counts: list[float]
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    read_unit, read_counts = read_trace(path)
    assert read_unit == unit
    assert [float(count) for count in read_counts] == counts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "trace.csv:1: expected two columns"),
        ("hour,count\n0,1\n", "trace.csv:1: expected two columns, 'second' or 'minute'"),
        ("second,a,b\n0,1,2\n", "trace.csv:1: expected two columns"),
        ("second,n\n0,1\n1\n", "trace.csv:3: expected an interval number and a count, got '1'"),
        ("second,n\n0,x\n", "trace.csv:2: expected an interval number and a count, got '0,x'"),
        ("second,n\n0,-1\n", "trace.csv:2: expected"),
        ("second,n\n0,nan\n", "trace.csv:2: expected"),
        ("second,n\n0,1/0\n", "trace.csv:2: expected"),
        ("second,n\n3,1\n3,1\n", "trace.csv:3: interval 3 is not after the previous one"),
        ("second,n\n0,1\n2000000,1\n", "trace.csv:3: more than 1,000,000 intervals"),
        ("second,n\n0,0\n", "trace.csv: all counts are 0"),
    ],
)
def test_an_invalid_trace_is_an_error_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_trace(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(1.0, 3.0), (1.0, 4.0)]),
        ({"speed": 2}, [(0.5, 3.0), (0.5, 4.0)]),
        ({"scale": 10}, [(1.0, 30.0), (1.0, 40.0)]),
    ],
)
def test_a_trace_is_sent_as_recorded_unless_a_speed_or_a_scale_is_set(
    tmp_path: Path, changes: dict[str, float], expected: list[tuple[float, float]]
) -> None:
    (tmp_path / "trace.csv").write_text("second,requests\n0,3\n1,4\n")
    phase = Trace.model_validate({"kind": "trace", "path": "trace.csv", **changes})
    sent = [(float(one.seconds), float(one.requests)) for one in trace_segments(phase, tmp_path)]
    assert sent == expected


def test_a_missing_trace_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: invalid trace"):
        read_trace(tmp_path / "none.csv")


def flights(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "flights.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("flights.csv", header + "".join(f"{line}\n" for line in lines))
    return path


def test_a_departure_is_the_scheduled_minute_plus_the_delay(tmp_path: Path) -> None:
    archive = flights(
        tmp_path,
        "2013,3,2,517,515,2",  # 05:17
        "2013,3,2,NA,600,NA",  # cancelled
        "2013,3,2,10,2359,11",  # the next day
        "2013,3,1,5,2350,15",  # the evening before, left at 00:05
        "2013,3,2,2400,2359,1",  # midnight: the next day
        "2013,3,3,515,515,0",  # another day
        "2013,3,2,512,515,-3",  # 05:12
    )
    assert departures(date(2013, 3, 2), archive) == {5: 1, 312: 1, 317: 1}


def test_invalid_flight_data_is_an_error(tmp_path: Path) -> None:
    no_archive = tmp_path / "none.zip"
    no_archive.write_bytes(b"no archive")
    for archive in (no_archive, flights(tmp_path, header="a,b\n")):
        with pytest.raises(UsageError, match="invalid flight data"):
            departures(date(2013, 3, 2), archive)


def test_a_missing_dataset_is_an_error_with_the_command_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "DATASET", "a_dataset_that_nobody_has")
    with pytest.raises(UsageError, match=r"pip install 'tidegate\[train\]'"):
        departure_segments(Departures(kind="departures", day=date(2013, 7, 11)))


def test_a_day_of_the_real_dataset_has_about_a_thousand_departures() -> None:
    phase = Departures(kind="departures", day=date(2013, 7, 11), speed=600)
    segments = list(departure_segments(phase))
    assert len(segments) == 1440
    assert sum(segment.seconds for segment in segments) == 144
    assert 900 < sum(segment.requests for segment in segments) < 1010
