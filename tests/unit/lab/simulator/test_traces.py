"""Traces from files and by name, and the requests generated from them."""

from pathlib import Path

import numpy as np
import pytest

from tidegate.lab.simulator.named_traces import NAMED_TRACES, find_trace
from tidegate.lab.simulator.system import RequestKind, System
from tidegate.lab.simulator.traces import Slowness, Trace, TraceError, read_csv
from tidegate.lab.simulator.workload import generate_workload


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_counts_per_minute_become_rates(tmp_path: Path) -> None:
    trace = read_csv(write(tmp_path, "minute,requests\n0,60\n1,120\n\n2,0\n"))
    assert (trace.name, trace.interval_seconds, trace.seconds) == ("mine", 60.0, 180.0)
    assert trace.rates.tolist() == [1.0, 2.0, 0.0]


def test_missing_seconds_have_no_requests_and_the_first_one_is_the_start(tmp_path: Path) -> None:
    trace = read_csv(write(tmp_path, "\ufeffSecond, count,note\n12,4,busy\n10,3,\n"))
    assert trace.rates.tolist() == [3.0, 0.0, 4.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1: expected a column"),
        ("hour,requests\n0,1\n", "1: expected a column"),
        ("second\n0\n", "1: expected a column"),
        ("second,requests\n0,1\nx,2\n", "mine.csv:3"),
        ("second,requests\n0\n", "mine.csv:2"),
        ("second,requests\n0,-1\n", "mine.csv:2"),
        ("second,requests\n0,nan\n", "mine.csv:2"),
        ("second,requests\n-1,1\n", "mine.csv:2"),
        ("second,requests\n5,1\n5,1\n", "mine.csv:3"),
        ("second,requests\n0,0\n", "no requests"),
        ("second,requests\n", "no requests"),
        ("second,requests\n0,1\n5000000,1\n", "more than 1,000,000"),
        ("second,requests\n0,1\n1,1e12\n", r"mine.csv:3: 1e\+12 requests up to here, .*20,000,000"),
        ("minute,requests\n0,15e6\n1,0\n2,6e6\n", "mine.csv:4: 2.1e.07 requests up to"),
        ("second,requests\n0,1e308\n", "rescale it with --peak"),
    ],
)
def test_an_invalid_trace_file_is_refused_with_its_line(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(TraceError, match=says):
        read_csv(write(tmp_path, text))


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_trace(str(tmp_path / "none.csv"))
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for name, says in (
        (str(tmp_path / "bytes.csv"), "not a valid trace"),
        ("stedy", "steady, steps"),
    ):
        with pytest.raises(TraceError, match=says):
            find_trace(name)


@pytest.mark.parametrize("name", NAMED_TRACES)
def test_every_named_trace_can_be_rescaled(name: str) -> None:
    trace = find_trace(name, peak=7.0)
    assert trace.name == name
    assert trace.rates.max() == pytest.approx(7.0)
    assert trace.rates.min() >= 0
    assert 1800 <= trace.seconds <= 86_400


def test_a_file_of_any_counts_can_be_rescaled(tmp_path: Path) -> None:
    file = write(tmp_path, "second,requests\n0,1e12\n1,1e308\n2,1e308\n")
    trace = find_trace(str(file), peak=8.0)
    assert trace.rates.tolist() == pytest.approx([0.0, 8.0, 8.0])


def test_a_peak_that_makes_too_many_requests_is_refused() -> None:
    assert find_trace("steady", 5_000.0).rates.max() == pytest.approx(5_000.0)
    with pytest.raises(TraceError, match=r"steady: .*20,000,000; use a lower peak"):
        find_trace("steady", 6_000.0)


@pytest.mark.parametrize("peak", [0.0, -1.0, float("nan"), float("inf")])
def test_a_peak_must_be_a_rate(peak: float) -> None:
    with pytest.raises(TraceError, match="above 0"):
        find_trace("steady", peak)


def test_the_flights_are_those_of_the_busiest_day() -> None:
    trace = find_trace("flights")
    assert (len(trace.rates), trace.interval_seconds) == (1440, 60.0)
    per_flight = trace.rates[trace.rates > 0].min()
    assert round(float(trace.rates.sum() / per_flight)) > 900
    assert trace.rates[180:240].sum() < trace.rates[480:540].sum()


SLOW = Trace("slow", 10.0, np.ones(10), (Slowness(20, 60, 2.0), Slowness(40, 80, 3.0)))


@pytest.mark.parametrize(
    ("at", "factor", "next_change"),
    [(0, 1, 20), (20, 2, 40), (40, 6, 60), (60, 3, 80), (80, 1, np.inf)],
)
def test_slownesses_multiply(at: float, factor: float, next_change: float) -> None:
    assert (SLOW.slowness(at), SLOW.next_change(at)) == (factor, next_change)


def test_generated_requests_have_the_expected_rate_and_times() -> None:
    trace = Trace("two", 50.0, np.array([100.0, 300.0]))
    system = System(kinds=(RequestKind(3, 0.1), RequestKind(1, 0.5)), service_cv=0.5)
    drawn = generate_workload(trace, system, seed=1)
    assert np.all(np.diff(drawn.arrivals) >= 0)
    first = int((drawn.arrivals < 50).sum())
    assert first == pytest.approx(5000, abs=4 * 5000**0.5)
    assert len(drawn.arrivals) - first == pytest.approx(15_000, abs=4 * 15_000**0.5)
    assert float(drawn.services.mean()) == pytest.approx(0.2, rel=0.03)
    assert system.service_seconds == pytest.approx(0.2)
