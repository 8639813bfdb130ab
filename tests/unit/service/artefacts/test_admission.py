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

from support.samples.served_models import (
    write_image_classifier,
    write_regressor,
    write_tensor_model,
)
from tidegate.service.artefacts import admission
from tidegate.service.artefacts.admission import admit, contract_differences
from tidegate.service.artefacts.import_model import import_model
from tidegate.service.model import artefact
from tidegate.service.model.artefact import MANIFEST, ONNX, Artefact, ArtefactError, Manifest
from tidegate.service.model.features import Feature
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.signature import Target
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
    with pytest.raises(ArtefactError, match=reason):
        admit(path, tmp_path / "copies", None, Settings(stack={"data_dir": tmp_path}))
    assert not (tmp_path / "copies").exists()


def test_an_artefact_with_other_features_is_refused(flights: Artefact, tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    joblib.dump(LogisticRegression().fit(x, x[:, 0] > 0), tmp_path / "small.joblib")
    import_model(tmp_path / "small.joblib", tmp_path / "small")
    settings = Settings(stack={"data_dir": tmp_path})
    with pytest.raises(ArtefactError, match="does not accept the same requests: it lacks carrier"):
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


def test_a_regressor_is_replaced_by_one_of_the_same_target_alone(tmp_path: Path) -> None:
    current = write_regressor(tmp_path / "current")
    assert contract_differences(current, write_regressor(tmp_path / "next", seed=1)) == ""
    other = write_regressor(tmp_path / "other", target=Target(name="weight", unit="kg"))
    assert contract_differences(current, other) == (
        "it predicts weight [kg], not progression [points]"
    )
    admit(
        tmp_path / "next",
        tmp_path / "copies",
        tmp_path / "current",
        Settings(stack={"data_dir": tmp_path}),
    )


def test_a_classifier_is_not_replaced_by_a_regressor(flights: Artefact, tmp_path: Path) -> None:
    regressor = write_regressor(tmp_path / "regressor")
    found = contract_differences(flights.manifest, regressor)
    assert found.endswith("; its task is regression, not classification")


def test_tensors_that_a_client_would_have_to_change_are_reported(tmp_path: Path) -> None:
    current = write_tensor_model(tmp_path / "model")
    image, tokens, *others = current.tensors
    wider = image.model_copy(update={"shape": (-1, -1, -1)})
    assert contract_differences(current, replaced(current, tensors=(tokens, wider, *others))) == ""
    assert contract_differences(replaced(current, tensors=(wider,)), current) == (
        "it also requires flag; it also requires name; it also requires tokens; "
        "image is FP32 of shape [2, 3], not FP32 of shape [any, any]"
    )
    fewer = replaced(current, tensors=tuple(others), outputs=current.outputs[1:])
    assert contract_differences(current, fewer) == (
        "it lacks the input image; it lacks the input tokens; it lacks the output mean"
    )
    mean = current.outputs[0].model_copy(update={"datatype": "FP64"})
    assert contract_differences(
        current, replaced(current, outputs=(mean, *current.outputs[1:]))
    ) == ("its output mean is FP64 of shape [2], not FP32 of shape [2]")


def replaced(manifest: Manifest, **fields: Any) -> Manifest:
    """A manifest with other fields."""
    return manifest.model_copy(update=fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tensors": ()}, "cannot be run by ONNX Runtime: .* are missing from input feed"),
        ({"output": "labels"}, "cannot be run by ONNX Runtime: .*Invalid output name:labels"),
        ({"classes": ("red", "green")}, r"shape \[2, 3\] for 2 rows of 2 classes, not \[2, 2\]"),
        (
            {"task": "regression", "classes": ()},
            "6 values of type float32 for 2 rows, not one number",
        ),
    ],
)
def test_a_graph_that_differs_from_its_manifest_is_refused(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    manifest = write_image_classifier(tmp_path / "model").model_copy(update=fields)
    with pytest.raises(ArtefactError, match=reason):
        open_predictor(Artefact(tmp_path / "model", manifest))
