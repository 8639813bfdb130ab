"""Checks of the machine before the stack starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.observability_files.watermarks import FILE, GIB, Watermarks, read_watermarks
from tidegate.provision.preflight import (
    MIN_MEMORY,
    RECOMMENDED_MAP_COUNT,
    disk_check,
    free_by_disk,
    map_count_check,
    memory_check,
    read_map_count,
)

DISK = Path("/secrets")
MARKS = Watermarks(low=4 * GIB, high=3 * GIB, flood_stage=2 * GIB)


@pytest.mark.parametrize(("count", "enough"), [(262_143, False), (262_144, True)])
def test_too_few_memory_maps_give_a_warning_with_the_command(count: int, enough: bool) -> None:
    check = map_count_check(count)
    assert check.state == ("ok" if enough else "warn")
    assert ("`sudo sysctl -w vm.max_map_count=1048576`" in check.text) is not enough


def test_the_maximum_of_memory_maps_is_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("65530\n")
    assert read_map_count(tmp_path / "count") == 65_530
    assert read_map_count(tmp_path / "nowhere") == RECOMMENDED_MAP_COUNT


@pytest.mark.parametrize(
    ("free", "state", "text"),
    [
        (MARKS.low, "ok", "4.0 GiB free"),
        (MARKS.low - 1, "warn", "below 3 GiB Elasticsearch creates no index: free some space"),
        (MARKS.high, "warn", "the disk of /secrets has 3.0 GiB free"),
        (MARKS.high - 1, "failed", "creates no index, below 2 GiB it writes nothing; free some"),
    ],
)
def test_a_disk_below_the_watermarks_is_reported(free: int, state: str, text: str) -> None:
    check = disk_check(DISK, free, MARKS)
    assert check.state == state
    assert text in check.text


def test_the_relative_free_space_is_ignored() -> None:
    # 50 of 500 GiB: with Elasticsearch's default watermarks no index could be created.
    assert disk_check(DISK, 50 * GIB, read_watermarks()).state == "ok"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must set low, high and flood_stage"),
        ("low=4gb high=3 flood_stage=2gb", "must set low, high and flood_stage"),
        ("low=2gb high=3gb flood_stage=1gb", "low must be at least high"),
    ],
)
def test_watermarks_that_elasticsearch_would_refuse_are_errors(
    tmp_path: Path, text: str, message: str
) -> None:
    prefix = "cluster.routing.allocation.disk.watermark."
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text("".join(f"{prefix}{one}\n" for one in text.split()))
    with pytest.raises(ValueError, match=message):
        read_watermarks(tmp_path)


def test_a_machine_with_less_memory_than_the_limits_gives_a_warning() -> None:
    assert memory_check(MIN_MEMORY).state == "ok"
    check = memory_check(4 * GIB)
    assert check.state == "warn"
    assert "has 4.0 GiB of memory, but the stack needs 7:" in check.text


def test_each_disk_is_reported_once(tmp_path: Path) -> None:
    missing = tmp_path / "not" / "there" / "yet"
    assert list(free_by_disk([missing, tmp_path])) == [missing]
