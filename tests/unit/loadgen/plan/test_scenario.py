"""Scenarios: valid files and error messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.scenario import built_in, load_schedule

GOOD = 'name = "mine"\nphases = [{ kind = "constant", seconds = 2, rate = 5 }]\n'


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_each_built_in_scenario_is_named_after_its_file_and_has_a_description() -> None:
    assert built_in() == ["flights", "seed", "spike", "steps"]
    for name in built_in():
        schedule = load_schedule(name)
        assert schedule.name == name
        assert schedule.description.endswith(".") or schedule.description.endswith("?")


def test_a_scenario_can_be_a_file(tmp_path: Path) -> None:
    schedule = load_schedule(written(tmp_path, GOOD))
    assert (schedule.name, schedule.seconds) == ("mine", 2)
    assert schedule.requests == 10
    assert tuple(schedule.weights) == ("light", "medium", "heavy")


def test_phases_are_executed_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("second,requests\n0,3\n1,4\n")
    text = """
name = "all"
arrivals = "poisson"
weights = { heavy = 2 }
phases = [
  { kind = "constant", seconds = 10, rate = 1 },
  { kind = "steps", seconds = 5, rates = [1, 2] },
  { kind = "ramp", seconds = 10, start_rate = 0, end_rate = 2 },
  { kind = "spike", base_rate = 1, peak_rate = 9, before_seconds = 1, peak_seconds = 1, after_seconds = 1 },
  { kind = "trace", path = "trace.csv", speed = 2, scale = 10 },
  { kind = "departures", day = 2013-01-01, from_hour = 8, to_hour = 9, speed = 3600 },
]
"""
    schedule = load_schedule(written(tmp_path, text))
    assert schedule.seconds == pytest.approx(10 + 10 + 10 + 3 + 1 + 1)
    assert schedule.requests > 10 + 15 + 10 + 11 + 70
    assert tuple(schedule.weights) == ("heavy",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "invalid TOML"),
        ('name = "a"\n', "phases: Field required"),
        (GOOD + "speed = 3\n", "speed: unknown field"),
        (GOOD.replace("rate = 5", "rate = -1"), "phases[0].rate: Input should be greater than"),
        (GOOD.replace("rate = 5", "rat = 5"), "phases[0].rat: unknown field"),
        (GOOD.replace("constant", "wave"), "phases[0]: Input tag 'wave'"),
        (
            'name = "a"\nphases = [{ kind = "steps", seconds = 1, rates = [1, -2] }]',
            "phases[0].rates[1]: Input should be greater",
        ),
        (GOOD + "weights = { light = 0 }\n", "weights: Value error, at least one weight must be"),
        (GOOD + 'arrivals = "odd"\n', "arrivals: Input should be 'even' or 'poisson' (got 'odd')"),
        (GOOD.replace("rate = 5", "rate = 0"), "plans no requests"),
        (
            GOOD.replace("seconds = 2, rate = 5", "seconds = 86400, rate = 100"),
            "plans 8,640,000 requests; the maximum is 1,000,000",
        ),
        (
            'name = "a"\nphases = [{ kind = "departures", day = 2013-01-01, from_hour = 9, to_hour = 8 }]',
            "from_hour (9) must be less than to_hour (8)",
        ),
        (
            'name = "a"\nphases = [{ kind = "departures", day = 2014-01-01 }]',
            "phases[0].day: Input should be less than or equal to 2013-12-31",
        ),
        (
            'name = "a"\nphases = [{ kind = "departures", day = 2013-01-01, from_hour = 3, to_hour = 4 }]',
            "no departures on 2013-01-01 in these hours",
        ),
    ],
)
def test_an_invalid_scenario_is_an_error_with_the_file_and_field(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        load_schedule(written(tmp_path, text))
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value) or "nycflights13" in str(caught.value)


def test_an_unknown_name_is_an_error_with_the_built_in_ones() -> None:
    with pytest.raises(
        UsageError, match="unknown scenario 'sead'; expected one of flights, seed, spike"
    ):
        load_schedule("sead")


def test_a_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"mine\.toml: cannot be read"):
        load_schedule(str(path))
