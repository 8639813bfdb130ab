"""What is said of the machine before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.provision.preflight import (
    FREE_LEAST,
    GIB,
    MAP_COUNT_RECOMMENDED,
    disk_problem,
    disk_problems,
    map_count_warning,
    read_map_count,
)

DISK = Path("/secrets")


@pytest.mark.parametrize("count", [262_144, 1_048_576])
def test_enough_maps_are_no_matter(count: int) -> None:
    assert map_count_warning(count) == ""


@pytest.mark.parametrize("count", [65_530, 262_143])
def test_too_few_maps_are_named_with_the_command_that_raises_them(count: int) -> None:
    warning = map_count_warning(count)
    assert warning.startswith(
        f"vm.max_map_count is {count} on this host and Elasticsearch asks for"
    )
    assert "`sudo sysctl -w vm.max_map_count=1048576`" in warning


def test_the_number_of_maps_is_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("65530\n")
    assert read_map_count(tmp_path / "count") == 65_530
    assert read_map_count(tmp_path / "nowhere") == MAP_COUNT_RECOMMENDED


@pytest.mark.parametrize(
    ("free", "total", "problem"),
    [
        (FREE_LEAST, 30 * GIB, ""),
        (FREE_LEAST - 1, 30 * GIB, "has 2.0 GiB free, and the stack needs 2"),
        (0, 30 * GIB, "has 0.0 GiB free"),
        (5 * GIB, 100 * GIB, ""),
        (
            5 * GIB - 1,
            100 * GIB,
            "is 95.0% full: beyond 95 % Elasticsearch makes its indices read-only",
        ),
        # Elasticsearch wants no more than 100 GiB free, however large the disk is.
        (100 * GIB, 10_000 * GIB, ""),
        (100 * GIB - 1, 10_000 * GIB, "is 99.0% full"),
    ],
)
def test_a_disk_that_is_too_full_is_named(free: int, total: int, problem: str) -> None:
    found = disk_problem(DISK, free, total)
    assert problem in found
    assert bool(found) == bool(problem)


def test_a_disk_is_named_once_however_many_volumes_lie_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 0, "total": GIB})
    monkeypatch.setattr("tidegate.provision.preflight.shutil.disk_usage", lambda _: usage)
    (problem,) = disk_problems([tmp_path / "not" / "there" / "yet", tmp_path])
    assert problem.startswith(f"the disk of {tmp_path / 'not' / 'there' / 'yet'} has 0.0 GiB free")
