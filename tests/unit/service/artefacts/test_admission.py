"""An artefact is admitted only if it can replace the current one; its copy does not change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from support.samples.served_models import write_image_classifier, write_regressor
from tidegate.service.artefacts import admission
from tidegate.service.artefacts.admission import admit, contract_differences
from tidegate.service.model import artefact
from tidegate.service.model.artefact import MANIFEST, ONNX, Artefact, ArtefactError, Manifest
from tidegate.service.model.features import Feature
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.signature import Signature, Target
from tidegate.service.model.tensor_spec import TensorSpec
from tidegate.settings import Settings


def test_a_complete_artefact_is_copied_once_and_the_copy_is_retained(
    flights: Artefact, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(flights.path, tmp_path / "source"))
    settings = Settings(stack={"data_dir": tmp_path / "data"})
    copy = admit(source, tmp_path / "copies", flights.path, settings)
    assert copy.path == tmp_path / "copies" / f"flights-{flights.manifest.digest}"
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


def test_an_artefact_that_does_not_fit_the_served_one_is_refused(
    flights: Artefact, tmp_path: Path
) -> None:
    write_regressor(tmp_path / "other")
    settings = Settings(stack={"data_dir": tmp_path})
    with pytest.raises(ArtefactError, match="does not accept the same requests: it lacks carrier"):
        admit(tmp_path / "other", tmp_path / "copies", flights.path, settings)
    assert not (tmp_path / "copies").exists()


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


CITY = Feature(name="city", kind="category", categories=("Kyiv", "Lviv"))
SIZE = Feature(name="size", missing=True)
LABELS = Signature(features=(CITY, SIZE), classes=("no", "yes"))
PRICE = Signature(task="regression", features=(SIZE,), target=Target(name="price", unit="EUR"))
IMAGE = TensorSpec(name="image", datatype="FP32", shape=(-1, 2, 3))
MEAN = TensorSpec(name="mean", datatype="FP32", shape=(-1, 2))
SCENE = Signature(task="values", input="tensors", tensors=(IMAGE,), outputs=(MEAN,))


def of(spec: Any, **fields: Any) -> Any:
    """A copy with other fields."""
    return spec.model_copy(update=fields)


@pytest.mark.parametrize(
    ("current", "fields", "differences"),
    [
        (LABELS, {}, ""),
        (LABELS, {"features": (SIZE, CITY), "classes": ("yes", "no")}, ""),
        (LABELS, {"features": (of(CITY, categories=("Kyiv", "Lviv", "Odesa")), SIZE)}, ""),
        (
            LABELS,
            {"features": (SIZE, Feature(name="colour"))},
            "it lacks city; it also requires colour",
        ),
        (
            LABELS,
            {"features": (Feature(name="city"), SIZE)},
            "city is of kind number, not category",
        ),
        (
            LABELS,
            {"features": (of(CITY, categories=("Kyiv",)), SIZE)},
            "city no longer accepts Lviv",
        ),
        (LABELS, {"features": (CITY, of(SIZE, missing=False))}, "size may no longer be missing"),
        (LABELS, {"classes": ("a", "b")}, "its classes are a, b, not no, yes"),
        (LABELS, {"task": "regression"}, "its task is regression, not classification"),
        (PRICE, {"target": Target(name="rent")}, "it predicts rent, not price [EUR]"),
        (SCENE, {"tensors": (of(IMAGE, shape=(-1, -1, -1)),)}, ""),
        (
            SCENE,
            {"tensors": (of(IMAGE, shape=(-1, 2, 4)), of(MEAN, name="flag"))},
            "it also requires flag; image is FP32 of shape [2, 4], not FP32 of shape [2, 3]",
        ),
        (
            SCENE,
            {"tensors": (), "outputs": (of(MEAN, datatype="FP64"),)},
            "it lacks the input image; its output mean is FP64 of shape [2], not FP32 of shape [2]",
        ),
        (SCENE, {"outputs": ()}, "it lacks the output mean"),
    ],
)
def test_differences_that_a_client_would_notice_are_reported(
    current: Signature, fields: dict[str, Any], differences: str
) -> None:
    served = Manifest(name="m", version="1", inputs="", files={}, **dict(current))
    assert contract_differences(served, of(served, **fields)) == differences


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
