"""`tidegate train` overwrites its own artefacts only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tidegate.cli import app
from tidegate.service.model import artefact
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.training import train

WINDOW = {"window": ["2013-01-01", "2013-02-28"]}
OWN = {"name": "flights", "version": "1", "trained": WINDOW, "inputs": "", "files": {}}
CANDIDATE = {**OWN, "trained": {**WINDOW, "parent": "1"}}
IMPORTED = {**OWN, "trained": {"adopted_at": "2026-01-01"}}


class TrainedError(Exception):
    """The training was started."""


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(*_: Any) -> None:
        raise TrainedError

    monkeypatch.setattr(train, "_train", trained)


def content(folder: Path) -> dict[str, bytes]:
    """The content of each file, by its path."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (CANDIDATE, "has flights 1, which `tidegate train` did not create"),
        (IMPORTED, "has flights 1, which"),
        ({**OWN, "name": "wine"}, "has wine 1, which"),
        ("{", "has an artefact, which"),
        ([], "has an artefact, which"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_another_artefact_is_not_overwritten(
    tmp_path: Path, manifest: Any, message: str, force: bool
) -> None:
    out = tmp_path / "flights-next"
    out.mkdir()
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (out / artefact.MANIFEST).write_text(text)
    (out / artefact.MODEL).write_bytes(b"trained for a week")
    before = content(tmp_path)
    with pytest.raises(ArtefactError, match=message):
        train.train_flights(out, force=force)
    assert content(tmp_path) == before


def test_a_joblib_file_and_a_folder_of_other_files_are_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "wine.joblib"
    file.write_bytes(b"a model")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"a photo")
    before = content(tmp_path)
    for out in (file, tmp_path / "photos"):
        with pytest.raises(ArtefactError, match="is not an artefact folder and is not overwritten"):
            train.train_flights(out)
    assert content(tmp_path) == before


@pytest.mark.parametrize("manifest", [None, OWN])
def test_an_empty_folder_and_its_own_artefact_are_overwritten(
    tmp_path: Path, manifest: Any
) -> None:
    out = tmp_path / "flights"
    out.mkdir()
    if manifest:
        (out / artefact.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(TrainedError):
        train.train_flights(out)


def test_the_command_names_the_existing_files_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / artefact.MANIFEST).write_text(json.dumps(CANDIDATE))
    done = CliRunner().invoke(app, ["train", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr == (
        f"{tmp_path} has flights 1, which `tidegate train` did not create, and is not overwritten: "
        "choose another folder, by --out or for the demos by TIDEGATE_MODEL__PATH=artefacts/flights\n"
    )
