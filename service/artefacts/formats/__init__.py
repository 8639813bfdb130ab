"""The formats of model files that can be served, one a module with a `FORMAT`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from tidegate.service.artefacts.source_model import FileFormat
from tidegate.service.model.artefact import ArtefactError


@cache
def all_formats() -> tuple[FileFormat, ...]:
    """The formats of all modules of this package, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(module.FORMAT for module in modules)


def format_of(file: Path) -> FileFormat:
    """The format of a file: by its suffix, else by its first bytes.

    Raises:
        ArtefactError: it is of no format; the text lists what is accepted.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        start = opened.read(64)
    suffix = file.suffix.lower()
    if not start:
        raise ArtefactError("it is empty: save the model again")
    for file_format in all_formats():
        if suffix in file_format.suffixes:
            return file_format
    for file_format in all_formats():
        if start.startswith(file_format.signatures):
            return file_format
    accepted = "; ".join(
        f"{file_format.title} ({file_format.accepts})" for file_format in all_formats()
    )
    raise ArtefactError(
        f"a model file with the suffix `{suffix}` is not supported. Accepted: {accepted}. Others as ONNX: "
        'PyTorch by torch.onnx.export, TensorFlow by tf2onnx, CatBoost by save_model(…, format="onnx")'
    )
