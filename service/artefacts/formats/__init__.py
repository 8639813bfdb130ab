"""The formats of model files that can be served: a module each, with a `FORMAT` that stands in `FORMATS`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tidegate.service.artefacts.formats import (
    lightgbm_model,
    onnx_file,
    sklearn_joblib,
    xgboost_model,
)
from tidegate.service.artefacts.source_model import FileFormat
from tidegate.service.model.artefact import ArtefactError

FORMATS: Final = (
    sklearn_joblib.FORMAT,
    lightgbm_model.FORMAT,
    xgboost_model.FORMAT,
    onnx_file.FORMAT,
)


def format_of(file: Path) -> FileFormat:
    """The format of a file, by its suffix.

    Raises:
        ArtefactError: it is empty or of no format; the text lists what is accepted.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        if not opened.read(1):
            raise ArtefactError("it is empty: save the model again")
    suffix = file.suffix.lower()
    for file_format in FORMATS:
        if suffix in file_format.suffixes:
            return file_format
    accepted = "; ".join(f"{each.title} ({each.accepts})" for each in FORMATS)
    raise ArtefactError(
        f"a model file with the suffix `{suffix}` is not supported. Accepted: {accepted}. Others as ONNX: "
        'PyTorch by torch.onnx.export, TensorFlow by tf2onnx, CatBoost by save_model(…, format="onnx")'
    )
