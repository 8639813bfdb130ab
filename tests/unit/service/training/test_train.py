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


@pytest.mark.parametrize("manifest", [CANDIDATE, IMPORTED, {**OWN, "name": "wine"}, "{", []])
@pytest.mark.parametrize("force", [False, True])
def test_another_artefact_is_not_overwritten(tmp_path: Path, manifest: Any, force: bool) -> None:
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (tmp_path / artefact.MANIFEST).write_text(text)
    with pytest.raises(ArtefactError, match="which `tidegate train` did not create"):
        train.train_flights(tmp_path, force=force)
    assert (tmp_path / artefact.MANIFEST).read_text() == text


def test_a_joblib_file_and_a_folder_of_other_files_are_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "wine.joblib"
    file.write_bytes(b"a model")
    for out in (file, tmp_path):
        with pytest.raises(ArtefactError, match="is not an artefact folder and is not overwritten"):
            train.train_flights(out)
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"a model"]


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
    assert "and is not overwritten: choose another folder" in done.stderr
