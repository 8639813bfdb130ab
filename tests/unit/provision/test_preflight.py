"""Checks of the machine before the stack starts."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tidegate.observability_files.watermarks import FILE, GIB, Watermarks, read_watermarks
from tidegate.provision.preflight import (
    MIN_MEMORY,
    RECOMMENDED_MAP_COUNT,
    disk_problem,
    disk_warning,
    free_by_disk,
    map_count_warning,
    memory_warning,
    read_map_count,
    read_memory,
)

DISK = Path("/secrets")
MARKS = Watermarks(low=4 * GIB, high=3 * GIB, flood_stage=2 * GIB)


@pytest.mark.parametrize("count", [262_144, 1_048_576])
def test_enough_memory_maps_give_no_warning(count: int) -> None:
    assert map_count_warning(count) == ""


@pytest.mark.parametrize("count", [65_530, 262_143])
def test_too_few_memory_maps_give_a_warning_with_the_command(count: int) -> None:
    warning = map_count_warning(count)
    assert warning.startswith(
        f"vm.max_map_count is {count} on this host, but Elasticsearch requires"
    )
    assert "`sudo sysctl -w vm.max_map_count=1048576`" in warning


def test_the_maximum_of_memory_maps_is_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("65530\n")
    assert read_map_count(tmp_path / "count") == 65_530
    assert read_map_count(tmp_path / "nowhere") == RECOMMENDED_MAP_COUNT


@pytest.mark.parametrize(
    ("free", "problem", "warning"),
    [
        (MARKS.low, False, False),
        (MARKS.low - 1, False, True),
        (MARKS.high, False, True),
        (MARKS.high - 1, True, False),
        (0, True, False),
    ],
)
def test_a_disk_below_the_watermarks_is_reported(free: int, problem: bool, warning: bool) -> None:
    found = disk_problem(DISK, free, MARKS)
    assert bool(found) is problem
    if problem:
        assert found.startswith(f"the disk of /secrets has {free / GIB:.1f} GiB free: below 3 GiB")
    found = disk_warning(DISK, free, MARKS)
    assert bool(found) is warning
    if warning:
        assert found.endswith("below 3 GiB Elasticsearch creates no index: free some space")


def test_the_relative_free_space_is_ignored() -> None:
    # 50 of 500 GiB: with Elasticsearch's default watermarks no index could be created.
    assert disk_problem(DISK, 50 * GIB, read_watermarks()) == ""
    assert disk_warning(DISK, 50 * GIB, read_watermarks()) == ""


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


@pytest.mark.parametrize(
    ("total", "enough"), [(8 * GIB, True), (MIN_MEMORY, True), (4 * GIB, False)]
)
def test_a_machine_with_less_memory_than_the_limits_gives_a_warning(
    total: int, enough: bool
) -> None:
    warning = memory_warning(total)
    assert (warning == "") is enough
    assert enough or "has 4.0 GiB of memory, but the stack needs 7:" in warning


def test_the_memory_of_this_machine_is_read() -> None:
    assert read_memory() == pytest.approx(psutil.virtual_memory().total, rel=0.01)


def test_each_disk_is_reported_once(tmp_path: Path) -> None:
    missing = tmp_path / "not" / "there" / "yet"
    assert list(free_by_disk([missing, tmp_path])) == [missing]
