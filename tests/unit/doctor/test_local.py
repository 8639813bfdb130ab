"""The checks of `tidegate doctor`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from support.harnesses.collector_harness import event
from tidegate.doctor.local import (
    _embedded_store,
    disk_check,
    memory_check,
    package_checks,
    program_check,
)
from tidegate.runtime.check_results import failed, ok, table
from tidegate.settings import load
from tidegate.store.embedded.store import EmbeddedStore

GIB = 2**30
REQUIREMENTS = [
    "aiohttp<4,>=3.13",
    "fastapi>=0.120; extra == 'service'",
    'uvicorn[standard]>=0.38; extra == "service"',
    "joblib>=1.5; extra == 'train'",
    "matplotlib>=3.10; extra == 'loadgen'",
    "xgboost<3.3,>=3.0; (sys_platform == 'atari') and extra == 'train'",
    "xgboost-cpu<3.3,>=3.0; (sys_platform != 'atari') and extra == 'train'",
    "pytest>=8; extra == 'dev'",
    "tidegate[service,train]; extra == 'all'",
]


@pytest.mark.parametrize(
    ("missing", "states"),
    [
        (set(), ["ok", "ok", "ok", "ok"]),
        ({"aiohttp"}, ["failed", "ok", "ok", "ok"]),
        ({"uvicorn"}, ["ok", "ok", "failed", "ok"]),
        ({"matplotlib"}, ["ok", "warn", "ok", "ok"]),
    ],
)
def test_only_packages_that_the_stack_requires_are_missing_others_warn(
    missing: set[str], states: list[str]
) -> None:
    found = list(package_checks(REQUIREMENTS, lambda name: name not in missing))
    assert [check.name for check in found] == [
        "packages",
        "packages loadgen",
        "packages service",
        "packages train",
    ]
    assert [check.state for check in found] == states
    for name in missing:
        assert any(name in check.text and "pip install" in check.text for check in found)


def test_damage_of_the_embedded_store_is_found(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    assert _embedded_store(settings) == []
    with closing(EmbeddedStore(tmp_path / "store")) as store:
        store.append([event("a")])
    (found,) = _embedded_store(settings)
    assert found.state == "ok"
    path = next((tmp_path / "store").glob("index-*/*.term"))
    path.write_bytes(b"x" + path.read_bytes()[1:])
    (found,) = _embedded_store(settings)
    assert found.state == "failed"
    assert "a segment of" in found.text
    path.unlink()
    EmbeddedStore(tmp_path / "store").close()  # sets it aside
    (found,) = _embedded_store(settings)
    assert found.state == "warn"
    assert "damaged-1: remove them" in found.text


def test_what_only_training_and_development_need_is_no_warning() -> None:
    missing = {"xgboost-cpu", "pytest"}
    found = list(package_checks(REQUIREMENTS, lambda name: name not in missing))
    assert {check.state for check in found} == {"ok"}
    assert "pip install 'tidegate[train]'" in found[-1].text
    # The package of another platform need not be installed.
    other = list(package_checks(REQUIREMENTS, lambda name: name != "xgboost"))
    assert other[-1].text == "installed"


def test_little_free_disk_or_memory_is_a_warning() -> None:
    assert disk_check(Path("/d"), 5 * GIB) == ok("data folder", "/d, 5.0 GiB free")
    assert disk_check(Path("/d"), GIB).state == "warn"
    assert memory_check(4 * GIB) == ok("memory", "4.0 GiB available")
    assert memory_check(GIB // 2).state == "warn"


async def test_a_missing_program_is_reported_with_what_to_do() -> None:
    def nowhere() -> Path:
        raise RuntimeError("install it")

    assert await program_check("haproxy", nowhere, "-v") == failed("haproxy", "install it")
    broken = await program_check("haproxy", lambda: Path("/no/haproxy"), "-v")
    assert broken.state == "failed"
    assert (await program_check("promtool", nowhere, "-v", needed=False)).state == "warn"


def test_the_table_has_a_row_for_each_check() -> None:
    assert table({"": [ok("a", ""), failed("b", "x")]}, 80).row_count == 2
