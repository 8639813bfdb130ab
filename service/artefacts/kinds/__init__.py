"""The kinds of model files that can be served, one a module with a `KIND`."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from tidegate.service.artefacts.import_error import ImportModelError
from tidegate.service.artefacts.source_model import Kind


@cache
def all_kinds() -> tuple[Kind, ...]:
    """The kinds of all modules of this package, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = (importlib.import_module(f"{__name__}.{name}") for name in names)
    return tuple(module.KIND for module in modules)


def kind_of(file: Path) -> Kind:
    """The kind of a file: by its suffix, else by its first bytes.

    Raises:
        ImportModelError: it is of no kind; the text lists what is accepted.
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        start = opened.read(64)
    suffix = file.suffix.lower()
    if not start:
        raise ImportModelError("it is empty: save the model again")
    for kind in all_kinds():
        if suffix in kind.suffixes:
            return kind
    for kind in all_kinds():
        if start.startswith(kind.signatures):
            return kind
    accepted = "; ".join(f"{kind.title} ({kind.accepts})" for kind in all_kinds())
    raise ImportModelError(
        f"a model file with the suffix `{suffix}` is not supported. Accepted: {accepted}. Others as ONNX: "
        'PyTorch by torch.onnx.export, TensorFlow by tf2onnx, CatBoost by save_model(…, format="onnx")'
    )
