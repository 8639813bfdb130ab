"""The checks of `tidegate doctor`."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from support.harnesses.collector_harness import event
from tidegate.checks.machine import (
    embedded_store_checks,
    machine_checks,
    memory_check,
)
from tidegate.checks.start import start_checks
from tidegate.runtime.check_results import ok
from tidegate.settings import load
from tidegate.store.base import SearchRequest, StoreUnavailableError
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore

GIB = 2**30


async def test_the_store_and_a_replica_are_checked_beside_what_a_start_needs(
    tmp_path: Path,
) -> None:
    EmbeddedStore(tmp_path / "store").close()
    replicas = {"command": ("false", "{port}")}
    found = await machine_checks(load(stack={"data_dir": tmp_path}, replicas=replicas))
    states = {one.name: one.state for one in found}
    assert (states["store"], states["replica"]) == ("ok", "failed")
    assert {"data folder", "promtool", "settings", "memory"} < states.keys()


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


async def test_a_store_that_cannot_be_used_prevents_a_start_and_has_one_line_in_the_doctor(
    tmp_path: Path, small_disk: Path
) -> None:
    foreign = tmp_path / "foreign" / "store"
    foreign.mkdir(parents=True)
    (foreign / "meta.json").write_text("{}")
    read_only = small_disk / "store"
    with closing(EmbeddedStore(read_only)) as store:
        store.append([event("a")])
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    await asyncio.to_thread(subprocess.run, remount, check=True)
    for root, text in ((foreign, "an index that is not Tidegate's"), (read_only, "not writable")):
        settings = load(stack={"data_dir": root.parent})
        for found in (await start_checks(settings), await machine_checks(settings)):
            (line,) = [one for one in found if one.name == "store"]
            assert line.state == "failed"
            assert text in line.text
        with pytest.raises(StoreUnavailableError, match=text):
            EmbeddedReader(root).search(SearchRequest())


def test_little_memory_is_a_warning() -> None:
    assert memory_check(4 * GIB) == ok("memory", "4.0 GiB available")
    assert memory_check(GIB // 2).state == "warn"
