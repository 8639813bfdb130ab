"""Weights of an ONNX model in files beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestRegressor

from support.samples.onnx_graphs import (
    FLOAT,
    linear,
)
from tidegate.service.artefacts import onnx_graph
from tidegate.service.artefacts.external_data import BLOCK_BYTES, external_files
from tidegate.service.artefacts.formats import onnx_file
from tidegate.service.artefacts.import_cache import import_digest
from tidegate.service.artefacts.import_model import import_model
from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.model.artefact import Artefact, ArtefactError, load, retain
from tidegate.service.model.onnx_predictor import OnnxPredictor


def test_external_data_is_read_and_a_missing_file_is_named(imported: Any, tmp_path: Path) -> None:
    wide = np.ones((400, 1), dtype=np.float32)

    def save(file: Path) -> None:
        onnx.save(
            linear(wide), str(file), save_as_external_data=True, location="w.bin", size_threshold=10
        )

    found = imported("wide.onnx", save)
    assert len(found.manifest.features) == 400
    onnxruntime.InferenceSession(  # one file
        (found.path / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    (tmp_path / "w.bin").unlink()
    with pytest.raises(ArtefactError, match=r"external data cannot be read: .*w\.bin"):
        onnx_file.open_file(tmp_path / "wide.onnx", ModelSchema())


def test_a_large_graph_is_served_with_its_tensors_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As PyTorch names what it exports, in the folder in which the conversion runs.
    monkeypatch.chdir(tmp_path)
    Path("model.onnx.data").touch()

    def served(name: str, weight: float) -> Artefact:
        weights = np.random.default_rng(3).normal(weight, size=(400, 3)).astype(np.float32)
        file = tmp_path / f"{name}.onnx"
        onnx.save(linear(weights), str(file))
        import_model(file, tmp_path / name)
        return load(tmp_path / name)

    whole = served("whole", 1.0)
    monkeypatch.setattr(onnx_graph, "MAPPED_BYTES", 4000)
    split, other = served("split", 1.0), served("other", 2.0)
    graph, data = split.path / "model.onnx", split.path / "model.onnx.data"
    assert graph.stat().st_size < 1000 < data.stat().st_size
    assert data.stat().st_mode == graph.stat().st_mode
    # The same model whichever way it is stored, and another one with other weights.
    assert split.manifest.version == whole.manifest.version != other.manifest.version
    rows = np.random.default_rng(4).normal(size=(9, 400)).astype(np.float32)
    ours, theirs = (
        OnnxPredictor(str(one.path / "model.onnx"), one.manifest) for one in (split, whole)
    )
    assert all(map(np.array_equal, ours.predict(rows), theirs.predict(rows)))
    assert load(retain(split, tmp_path / "copies").path).manifest == split.manifest
    data.write_bytes(bytes(data.stat().st_size))
    with pytest.raises(ArtefactError, match=r"model\.onnx\.data is not the file"):
        load(split.path)


def test_a_large_graph_without_tensors_is_one_file(
    imported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph, "MAPPED_BYTES", 0)
    rows = np.random.default_rng(6).normal(size=(300, 3))
    forest = RandomForestRegressor(5, random_state=0).fit(rows, rows.sum(axis=1))
    found = imported("forest.joblib", forest)
    assert found.manifest.runtime == "onnx"
    assert [name for name in found.manifest.files if "onnx" in name] == ["model.onnx"]


def test_new_weights_beside_the_same_graph_give_another_artefact(tmp_path: Path) -> None:
    file, digests, graphs = tmp_path / "wide.onnx", set(), set()
    (tmp_path / "data").mkdir()
    for location in ("w.bin", "data/[w].bin"):
        for weight in (1, 100):
            weights = np.full((400, 1), weight, dtype=np.float32)
            onnx.save(
                linear(weights),
                str(file),
                save_as_external_data=True,
                location=location,
                size_threshold=10,
            )
            graphs.add(file.read_bytes())
            digests.add(import_digest(file))
            (tmp_path / location).rename(tmp_path / f"{location}.old")
    assert (len(graphs), len(digests)) == (2, 4)


@pytest.mark.parametrize("before", range(BLOCK_BYTES - 40, BLOCK_BYTES + 1, 5))
def test_external_data_is_found_wherever_it_stands_in_a_large_file(
    before: int, tmp_path: Path
) -> None:
    file, location = tmp_path / "wide.onnx", b"weights.bin"
    start = b"\x0a\x08location\x12" + bytes([len(location)])
    file.write_bytes(b"0" * before + start + location + b"0" * BLOCK_BYTES)
    for name in ("weights.bin", "weights.b"):
        (tmp_path / name).touch()
    assert [found.name for found in external_files(file)] == ["weights.bin"]


CUT = """
import os, sys
from pathlib import Path
from tidegate.service.artefacts.external_data import _locations
found = _locations(Path(sys.argv[1]))
print(next(found).decode(), flush=True)
os.truncate(sys.argv[1], 0)
print(len(list(found)))
"""


def test_a_file_that_is_overwritten_while_it_is_searched_ends_no_process(tmp_path: Path) -> None:
    file = tmp_path / "wide.onnx"
    file.write_bytes(b"\x0a\x08location\x12\x05w.bin" + b"0" * 2**20)
    done = subprocess.run(
        [sys.executable, "-c", CUT, file], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["w.bin", "0"]), done.stderr


def test_external_data_is_found_below_the_folder_alone_and_other_names_are_refused(
    tmp_path: Path,
) -> None:
    def tensor(location: str) -> Any:
        made = helper.make_tensor("w", FLOAT, [1], [1.0])
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value=location)
        made.external_data.add(key="offset", value="0")
        return made

    long, folder = "weights" * 20, tmp_path / "model"
    folder.mkdir()
    for path in (folder / "branch", folder / long, tmp_path / "outside"):
        path.touch()
    constant = helper.make_node("Constant", [], ["c"], value=tensor("branch"))
    inner = helper.make_graph([constant], "then", [], [])
    branch = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    outside = [
        tensor(location)
        for location in (long, "w\0.bin", "w" * 300, "/dev/zero", "../outside", "none")
    ]
    output = helper.make_tensor_value_info("y", FLOAT, [1])
    graph = helper.make_graph([branch], "graph", [], [output], initializer=outside)
    model = helper.make_model(graph)
    file = folder / "m.onnx"
    file.write_bytes(model.SerializeToString())
    assert [path.name for path in external_files(file)] == ["branch", long]
    with pytest.raises(ArtefactError, match="external data cannot be read"):
        onnx_file.open_file(file, ModelSchema())
    file.write_bytes(b"")
    assert external_files(file) == []
