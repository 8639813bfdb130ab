"""The checks of `tidegate doctor`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from support.harnesses.collector_harness import event
from tidegate.checks.machine import (
    embedded_store_checks,
    machine_checks,
    memory_check,
    package_checks,
)
from tidegate.runtime.check_results import ok
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


async def test_the_store_and_a_replica_are_checked_beside_what_a_start_needs(
    tmp_path: Path,
) -> None:
    EmbeddedStore(tmp_path / "store").close()
    replicas = {"command": ("false", "{port}")}
    found = await machine_checks(load(stack={"data_dir": tmp_path}, replicas=replicas))
    states = {one.name: one.state for one in found}
    assert (states["store"], states["replica"]) == ("ok", "failed")
    assert {"data folder", "python", "packages", "promtool", "settings", "memory"} < states.keys()


def test_damage_of_the_embedded_store_is_found(tmp_path: Path) -> None:
    settings = load(stack={"data_dir": tmp_path})
    assert embedded_store_checks(settings) == []
    with closing(EmbeddedStore(tmp_path / "store")) as store:
        store.append([event("a")])
    (found,) = embedded_store_checks(settings)
    assert found.state == "ok"
    path = next((tmp_path / "store").glob("index-*/*.term"))
    path.write_bytes(b"x" + path.read_bytes()[1:])
    (found,) = embedded_store_checks(settings)
    assert found.state == "failed"
    assert "a segment of" in found.text
    path.unlink()
    EmbeddedStore(tmp_path / "store").close()  # sets it aside
    (found,) = embedded_store_checks(settings)
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


def test_little_memory_is_a_warning() -> None:
    assert memory_check(4 * GIB) == ok("memory", "4.0 GiB available")
    assert memory_check(GIB // 2).state == "warn"
