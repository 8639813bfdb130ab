"""An artefact is admitted only if it can replace the current one; its copy does not change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import orjson
import pytest
from sklearn.linear_model import LogisticRegression

from tidegate.service.artefacts import admission
from tidegate.service.artefacts.admission import AdmissionError, admit, contract_differences
from tidegate.service.artefacts.import_model import import_model
from tidegate.service.model import artefact
from tidegate.service.model.artefact import MANIFEST, ONNX, Artefact
from tidegate.service.model.features import Feature
from tidegate.settings import Settings


def changed(flights: Artefact, **changes: Any) -> Any:
    return flights.manifest.model_copy(update=changes)


def test_a_complete_artefact_is_copied_once_and_the_copy_is_retained(
    flights: Artefact, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(flights.path, tmp_path / "source"))
    settings = Settings(stack={"data_dir": tmp_path / "data"})
    copy = admit(source, tmp_path / "copies", flights.path, settings)
    assert copy.path == tmp_path / "copies" / f"flights-{flights.manifest.version}"
    inode = (copy.path / MANIFEST).stat().st_ino
    shutil.rmtree(source)
    assert artefact.load(copy.path).manifest == flights.manifest
    assert admit(flights.path, tmp_path / "copies", None, settings).path == copy.path
    assert (copy.path / MANIFEST).stat().st_ino == inode
    (copy.path / ONNX).write_bytes(b"damaged")
    admit(flights.path, tmp_path / "copies", None, settings)
    assert artefact.load(copy.path).manifest == flights.manifest


def broken(flights: Artefact, folder: Path, name: str, *, in_manifest: bool) -> Path:
    """The artefact with another file of that name, with or without its digest in the manifest."""
    path = Path(shutil.copytree(flights.path, folder / "broken"))
    (path / name).write_bytes(b"{}")
    if in_manifest:
        manifest = orjson.loads((path / MANIFEST).read_bytes())
        manifest["files"][name] = artefact.digest_file(path / name)
        (path / MANIFEST).write_bytes(orjson.dumps(manifest))
    return path


@pytest.mark.parametrize(
    ("name", "in_manifest", "reason"),
    [
        ("model.onnx", False, "is not the file that manifest.json names"),
        ("model.onnx", True, "cannot be run by ONNX Runtime"),
        ("reference.json", True, "reference.json cannot be read"),
    ],
)
def test_an_artefact_that_cannot_be_loaded_is_refused(
    name: str, in_manifest: bool, reason: str, flights: Artefact, tmp_path: Path
) -> None:
    path = broken(flights, tmp_path, name, in_manifest=in_manifest)
    with pytest.raises(AdmissionError, match=reason):
        admit(path, tmp_path / "copies", None, Settings(stack={"data_dir": tmp_path}))
    assert not (tmp_path / "copies").exists()


def test_an_artefact_with_other_features_is_refused(flights: Artefact, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    joblib.dump(LogisticRegression().fit(x, x[:, 0] > 0), tmp_path / "small.joblib")
    import_model(tmp_path / "small.joblib", tmp_path / "small")
    settings = Settings(stack={"data_dir": tmp_path})
    with pytest.raises(AdmissionError, match="does not accept the same requests: it lacks carrier"):
        admit(tmp_path / "small", tmp_path / "copies", flights.path, settings)
    assert not (tmp_path / "copies").exists()


def test_differences_that_a_client_would_notice_are_reported(flights: Artefact) -> None:
    current = flights.manifest
    first, *others = current.features
    assert first.kind == "category"
    assert contract_differences(current, current) == ""
    assert (
        contract_differences(current, changed(flights, features=tuple(reversed(current.features))))
        == ""
    )
    fewer = changed(flights, features=(*others, Feature(name="colour")))
    assert contract_differences(current, fewer) == "it lacks carrier; it also requires colour"
    number = changed(flights, features=(Feature(name="carrier"), *others))
    assert contract_differences(current, number) == "carrier is of kind number, not category"
    fewer_categories = first.model_copy(update={"categories": first.categories[1:]})
    assert contract_differences(
        current, changed(flights, features=(fewer_categories, *others))
    ) == (f"carrier no longer accepts {first.categories[0]}")
    required = tuple(feature.model_copy(update={"missing": False}) for feature in current.features)
    assert "temp may no longer be missing" in contract_differences(
        current, changed(flights, features=required)
    )
    assert contract_differences(current, changed(flights, classes=("a", "b"))) == (
        "its classes are a, b, not late, on_time"
    )


def test_the_command_prints_the_artefact_or_the_reason_of_its_refusal(
    flights: Artefact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path / "data"))
    copies = str(tmp_path / "copies")
    assert admission.main([str(flights.path), copies, "--like", str(flights.path)]) == 0
    printed = orjson.loads(capfdbinary.readouterr().out)
    assert (printed["name"], printed["version"]) == ("flights", flights.manifest.version)
    assert admission.main([str(tmp_path / "nothing"), copies]) == 1
    assert b"there is no model at" in capfdbinary.readouterr().err
