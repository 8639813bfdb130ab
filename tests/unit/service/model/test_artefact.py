"""Reading and writing of artefact folders; errors name the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tidegate.service.model import artefact
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import Signature


def write(folder: Path, content: bytes = b"graph") -> artefact.Manifest:
    """A small artefact."""
    (folder / artefact.ONNX).write_bytes(content)
    return artefact.write_manifest(
        folder,
        name="toy",
        features=(Feature(name="x", example=1.5),),
        classes=("no", "yes"),
        inputs="sha256:0",
    )


def test_a_written_artefact_is_read_back(tmp_path: Path) -> None:
    written = write(tmp_path)
    found = artefact.load(tmp_path)
    assert found.manifest == written
    assert found.manifest.files[artefact.ONNX] == artefact.digest_file(tmp_path / artefact.ONNX)
    assert found.manifest.version == written.files[artefact.ONNX][7:19]


def test_how_long_a_comparison_took_does_not_change_the_digest(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    slower = manifest.model_copy(update={"parity": {"seconds_per_row": 0.2}})
    other = manifest.model_copy(update={"classes": ("yes", "no")})
    assert manifest.digest == slower.digest != other.digest


@pytest.mark.parametrize("content", [b"another graph", None])
def test_a_changed_or_missing_file_is_refused_by_name(
    tmp_path: Path, content: bytes | None
) -> None:
    write(tmp_path)
    (tmp_path / artefact.ONNX).unlink()
    if content:
        (tmp_path / artefact.ONNX).write_bytes(content)
    with pytest.raises(ArtefactError, match=r"model\.onnx (is not the file|cannot be read)"):
        artefact.load(tmp_path)


def test_a_folder_without_a_model_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="run `tidegate train`"):
        artefact.load(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "toy"}'])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / artefact.MANIFEST).write_text(text)
    with pytest.raises(ArtefactError, match=r"manifest\.json cannot be read"):
        artefact.load(tmp_path)


@pytest.mark.parametrize(
    ("changed", "unknown"), [({"format": 2}, "format=2"), ({"layout": "dense"}, "layout='dense'")]
)
def test_a_manifest_of_another_version_is_refused_with_what_is_unknown(
    tmp_path: Path, changed: dict[str, Any], unknown: str
) -> None:
    file = tmp_path / artefact.MANIFEST
    file.write_text(json.dumps(write(tmp_path).model_dump(mode="json") | changed))
    said = f"another version .* reads format 1 and does not know {unknown}; use that version"
    with pytest.raises(ArtefactError, match=said):
        artefact.load(tmp_path)


def test_a_new_artefact_replaces_the_old_one_unless_it_fails(tmp_path: Path) -> None:
    out = tmp_path / "toy"
    for content in (b"first", b"second"):
        with artefact.locked(out), artefact.staged(out) as folder:
            write(folder, content)

    def fail_while_writing() -> None:
        with artefact.locked(out), artefact.staged(out) as folder:
            (folder / artefact.ONNX).write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_writing()
    assert (artefact.load(out).path / artefact.ONNX).read_bytes() == b"second"
    assert [file.name for file in tmp_path.iterdir()] == ["toy"]


KILLED_TRAINING = """
import os, sys
from pathlib import Path
from tidegate.service.model import artefact
out = Path(sys.argv[1])
with artefact.locked(out), artefact.staged(out) as folder:
    (folder / artefact.ONNX).write_bytes(b"half")
    os.kill(os.getpid(), 9)
"""


def test_a_killed_training_leaves_no_artefact_and_the_next_one_removes_its_files(
    tmp_path: Path,
) -> None:
    out = tmp_path / "toy"
    killed = subprocess.run([sys.executable, "-c", KILLED_TRAINING, out], timeout=60, check=False)
    assert killed.returncode == -9
    assert not out.exists()
    with artefact.locked(out), artefact.staged(out) as folder:
        assert list(folder.iterdir()) == []
        write(folder)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["toy"]


@pytest.mark.parametrize("fields", [{"classes": [1, "1"]}, {"features": [{"name": "x"}] * 2}])
def test_two_classes_or_features_of_one_name_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="have the same name"):
        Signature.model_validate(fields)


def test_only_what_is_in_use_and_the_newest_other_artefact_are_kept(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()

    def made(content: bytes, name: str, of: Path = copies) -> Path:
        folder = of / name
        folder.mkdir()
        write(folder, content)
        return folder

    served = made(b"served", "served", of=tmp_path)
    named = [f"toy-{number:016x}" for number in range(4)]
    for age, name in enumerate(named):
        folder = made(b"served" if age == 1 else name.encode(), name)
        os.utime(folder, (age, age))
    made(b"a person's", "my-toy")
    for left in (".0123456789abcdef.source.tmp", f".{named[0]}.new.tmp"):
        (copies / left).mkdir()
    written = copies / ".fedcba9876543210.source.tmp"
    written.mkdir()
    with artefact.locked(copies / "fedcba9876543210"), artefact.locked(copies / named[2]):
        artefact.prune(copies, [served, tmp_path / "wine.joblib", None])
        rest = {path.name for path in copies.iterdir() if path.is_dir()}
    assert rest == {*named[1:], "my-toy", written.name}
    artefact.prune(copies, [served])
    assert {path.name for path in copies.iterdir()} == {named[1], named[3], "my-toy"}
