"""The formats of model files: found in the package, by suffix or content, and refused with a way out."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.linear_model import LinearRegression

from tidegate.service.artefacts import formats
from tidegate.service.artefacts.formats import all_formats, format_of
from tidegate.service.artefacts.import_model import import_model, main
from tidegate.service.model.artefact import load

NEW_FORMAT = '''
"""Coefficients in a text file, one a line."""

import numpy as np

from tidegate.service.artefacts.onnx_export import convert
from tidegate.service.artefacts.source_model import FileFormat, SourceModel
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import Signature
from sklearn.linear_model import LinearRegression


def open_file(file, schema):
    model = LinearRegression()
    model.coef_ = np.array([float(line) for line in file.read_text().split()])
    model.intercept_, model.n_features_in_ = 0.0, len(model.coef_)
    features = tuple(Feature(name=f"f{i}") for i in range(len(model.coef_)))
    return SourceModel(
        description="coefficients",
        signature=Signature(task="regression", features=features),
        to_onnx=lambda features: convert(model, features),
        predict=lambda features, rows: model.predict(rows),
        named=False,
    )


FORMAT = FileFormat(
    title="coefficients", suffixes=(".coef",), signatures=(), accepts="one number a line", open=open_file
)
'''


def test_a_new_format_is_one_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "more"
    package.mkdir()
    (package / "coefficients.py").write_text(NEW_FORMAT)
    file = tmp_path / "price.coef"
    file.write_text("1.5\n-2\n")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(package)])
    all_formats.cache_clear()
    try:
        assert format_of(file).title == "coefficients"
        import_model(file, tmp_path / "out")
    finally:
        monkeypatch.undo()
        all_formats.cache_clear()
        importlib.invalidate_caches()
    manifest = load(tmp_path / "out").manifest
    assert (manifest.task, manifest.trained["kind"]) == ("regression", "coefficients")


def test_every_format_is_complete() -> None:
    suffixes = [suffix for kind in all_formats() for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert {kind.title for kind in all_formats()} >= {"scikit-learn", "ONNX", "LightGBM", "XGBoost"}
    for kind in all_formats():
        assert kind.accepts


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3)])
def test_a_joblib_file_with_another_suffix_is_recognised(tmp_path: Path, compress: Any) -> None:
    file = tmp_path / "model.sav"
    joblib.dump(LinearRegression().fit([[0], [1]], [0, 1]), file, compress=compress)
    assert format_of(file).title == "scikit-learn"


def test_a_file_of_no_format_is_refused_with_what_is_accepted_and_how_to_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.pt"
    file.write_bytes(b"PK\x03\x04")
    assert main([str(file), str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"{file} cannot be served: a model file with the suffix `.pt`")
    for accepted in (
        ".joblib",
        ".onnx",
        ".ubj",
        ".txt",
        "torch.onnx.export",
        "tf2onnx",
        "CatBoost",
    ):
        assert accepted in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("suffix", [".joblib", ".onnx", ".txt", ".json", ".ubj", ".bin"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"hello", b"\x80\x04K\x01.", b"tree\n", b"tree\nversion=v4\n\nend of trees\n"),
        *(b"{", b"{L", b"{L\x00\x00", b'{"a": 1}', b"\x08\x01", b"\x00" * 100),
    ],
    ids=repr,
)
def test_damaged_and_wrongly_named_files_are_refused_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, content: bytes
) -> None:
    file = tmp_path / f"model{suffix}"
    file.write_bytes(content)
    assert main([str(file), str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"{file} cannot be served: ")
    assert message.count("\n") == 1
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_and_a_missing_file_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model.onnx"
    folder.mkdir()
    assert main([str(folder), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"{folder} is a folder, not a file: use another path\n"
    missing = tmp_path / "none.onnx"
    assert main([str(missing), str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == f"{missing} does not exist\n"
