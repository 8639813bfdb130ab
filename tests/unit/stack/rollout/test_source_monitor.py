"""A release is fixed at its start or deployment; a source that changes later is one event, and not served."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from support.samples.onnx_graphs import linear
from tidegate.runtime.event_log import EventLog
from tidegate.service.artefacts.import_cache import import_digest
from tidegate.service.model.artefact import (
    MANIFEST,
    Artefact,
    ArtefactError,
    load,
    read_manifest,
    retain,
)
from tidegate.settings import Settings
from tidegate.stack.replicas.release import Release, read_release
from tidegate.stack.replicas.replica_command import replica_variables
from tidegate.stack.rollout.source_monitor import SourceMonitor

CODE = """
class Price:
    version = "7"

    def predict(self, rows):
        return [{} for row in rows]
"""


def described(folder: Path, text: str) -> None:
    """Give an artefact another description, as a training into its folder gives it another everything."""
    manifest = json.loads((folder / MANIFEST).read_bytes()) | {"description": text}
    new = folder.with_name("new")
    new.write_text(json.dumps(manifest))
    new.replace(folder / MANIFEST)


def save(file: Path, weight: float) -> None:
    onnx.save(linear(np.full((1, 1), weight, dtype=np.float32)), str(file))


async def released(path: Path, folder: Path, **service: Any) -> Release:
    settings = Settings(model={"path": path}, stack={"data_dir": folder}, service=service)
    return await read_release(settings, folder / "models")


async def problems(monitor: SourceMonitor) -> tuple[bool, int]:
    """Whether the source is said to have changed, and how many events have said so."""
    await monitor.look()
    return bool(monitor.problem), len(monitor.event_log.recent)


async def test_a_folder_that_is_overwritten_is_said_once_and_its_copy_stays(
    flights: Artefact, tmp_path: Path, event_log: EventLog
) -> None:
    source = Path(shutil.copytree(flights.path, tmp_path / "my model"))
    release = await released(source, tmp_path)
    before = read_manifest(release.path)
    assert release.digest == before.digest == flights.manifest.digest
    monitor = SourceMonitor(lambda: release, event_log)
    assert await problems(monitor) == (False, 0)
    os.utime(source / MANIFEST)
    assert await problems(monitor) == (False, 0)
    described(source, "another")
    assert await problems(monitor) == (True, 1)
    described(source, "a third")
    assert await problems(monitor) == (True, 1)
    assert f"`tidegate deploy '{source}'`" in monitor.problem
    assert load(release.path).manifest == before
    shutil.rmtree(source)
    assert await problems(monitor) == (False, 1)
    shutil.copytree(release.path, source)
    assert await problems(monitor) == (False, 1)
    described(source, "another")
    assert await problems(monitor) == (True, 2)
    release = await released(source, tmp_path)  # it is deployed
    assert await problems(monitor) == (False, 2)


async def test_a_model_file_that_is_overwritten_is_said_and_so_is_a_new_schema(
    tmp_path: Path, event_log: EventLog
) -> None:
    source = tmp_path / "price.onnx"
    save(source, 3)
    release = await released(source, tmp_path / "data")
    monitor = SourceMonitor(lambda: release, event_log)
    assert await problems(monitor) == (False, 0)
    save(source, 300)
    assert await problems(monitor) == (True, 1)
    save(source, 3)
    assert await problems(monitor) == (False, 1)
    before = source.stat()
    while source.stat().st_ctime_ns == before.st_ctime_ns:  # the file system's clock has ticks
        save(source, 300)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await problems(monitor) == (True, 2)
    save(source, 3)
    assert await problems(monitor) == (False, 2)
    (tmp_path / "price.toml").write_text('description = "x"\n')
    assert await problems(monitor) == (True, 3)


async def test_edited_code_of_a_predictor_is_said_and_is_another_model_whatever_its_version(
    tmp_path: Path, event_log: EventLog
) -> None:
    code = tmp_path / "pricing_code.py"
    code.write_text(CODE.format(3))
    release = await released(Path("pricing_code:Price"), tmp_path / "data", app_dir=tmp_path)
    assert (release.model_path, release.version) == (Path("pricing_code:Price"), "7")
    monitor = SourceMonitor(lambda: release, event_log)
    assert await problems(monitor) == (False, 0)
    code.write_text(CODE.format(300))
    assert await problems(monitor) == (True, 1)
    other = await released(Path("pricing_code:Price"), tmp_path / "data", app_dir=tmp_path)
    assert (other.version, other.digest == release.digest) == ("7", False)
    copy = Path(shutil.copytree(tmp_path, tmp_path / "elsewhere"))
    same = await released(Path("pricing_code:Price"), tmp_path / "data", app_dir=copy)
    assert same.digest == other.digest
    assert (copy / "pricing_code.py").samefile(*read_manifest(same.path).trained["sources"])


async def test_a_stack_with_a_digest_in_its_settings_starts_with_that_model_alone(
    flights: Artefact, tmp_path: Path
) -> None:
    settings = Settings(
        model={"path": flights.path, "digest": "0123456789abcdef"}, stack={"data_dir": tmp_path}
    )
    with pytest.raises(ArtefactError, match=r"model\.digest is 0123456789abcdef"):
        await read_release(settings, tmp_path / "models")


def test_an_artefact_that_is_replaced_while_it_is_copied_is_not_kept_under_its_digest(
    flights: Artefact, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(flights.path, tmp_path / "source"))
    found = load(source)
    described(source, "another")
    with pytest.raises(ArtefactError, match="changed while it was read"):
        retain(found, tmp_path / "copies")
    assert not [*(tmp_path / "copies").iterdir()]


async def test_the_shadow_model_is_that_of_the_start_whatever_stands_at_its_path_later(
    flights: Artefact, tmp_path: Path
) -> None:
    save(shadow := tmp_path / "next.onnx", 3.0)
    settings = Settings(
        model={"path": flights.path, "shadow_path": shadow}, stack={"data_dir": tmp_path}
    )
    release = await read_release(settings, tmp_path / "models")
    save(shadow, 300.0)
    path = replica_variables(settings, 1, release, tmp_path)["TIDEGATE_MODEL__SHADOW_PATH"]
    assert read_manifest(Path(path)).inputs != import_digest(shadow)
    assert Path(path).parent == tmp_path / "models"
    shadow.write_bytes(b"no model")  # a replica says why it has none
    release = await read_release(settings, tmp_path / "models")
    assert "TIDEGATE_MODEL__SHADOW_PATH" not in replica_variables(settings, 1, release, tmp_path)


async def test_files_that_a_class_names_belong_to_its_model(
    tmp_path: Path, event_log: EventLog
) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"3")
    (tmp_path / "scale.txt").write_text("7")
    named = '    files = ["weights.bin", "scale.txt"]\n'
    (tmp_path / "weighed_code.py").write_text(CODE.format(3).rstrip() + f"\n\n{named}")

    async def read() -> Release:
        return await released(Path("weighed_code:Price"), tmp_path / "data", app_dir=tmp_path)

    release = await read()
    monitor = SourceMonitor(lambda: release, event_log)
    assert await problems(monitor) == (False, 0)
    (tmp_path / "scale.txt").write_text("8")
    assert await problems(monitor) == (True, 1)
    scaled = await read()
    weights.write_bytes(b"4")
    assert len({release.digest, scaled.digest, (await read()).digest}) == 3
    (tmp_path / "scale.txt").unlink()
    with pytest.raises(ArtefactError, match=r"weighed_code:Price .*scale\.txt does not exist"):
        await read()
    code = tmp_path / "weighed_code.py"
    code.write_text(code.read_text().replace(named, '    files = "weights.bin"\n'))
    with pytest.raises(ArtefactError, match=r"weighed_code:Price: `?files`?: .*a valid list"):
        await read()
