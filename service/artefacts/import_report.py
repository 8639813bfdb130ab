"""What an import found, as lines for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tidegate.service.model.artefact import Manifest

NAMES: Final = 8
"""Names shown of a longer list."""


def report(manifest: Manifest, out: Path, rows: Path) -> str:
    """The lines that `tidegate import-model` prints; `rows` is the file of rows that was looked for."""
    lines = {
        "kind": f"{manifest.trained.get('kind', '?')}: {manifest.description}",
        "task": _task(manifest),
        "inputs": _inputs(manifest),
        "parity": _parity(manifest),
        "reference": _reference(manifest, rows),
    }
    text = "".join(f"  {name:<10} {value}\n" for name, value in lines.items())
    return f"model {manifest.name} {manifest.version} in {out}\n{text}"


def _task(manifest: Manifest) -> str:
    if manifest.task == "classification":
        return f"classification: {_names([str(label) for label in manifest.classes])}"
    if manifest.task == "regression":
        target = manifest.target
        unit = f" ({target.unit})" if target and target.unit else ""
        return f"regression: {target.name if target else 'value'}{unit}"
    return f"values: {_names([f'{each.name} {list(each.shape)}' for each in manifest.outputs])}"


def _inputs(manifest: Manifest) -> str:
    if manifest.input == "tensors":
        return _names(
            [f"{each.name} {each.datatype} {list(each.shape)}" for each in manifest.tensors]
        )
    count = len(manifest.features)
    return f"{count} feature{'s' if count > 1 else ''}: " + _names(
        [feature.name for feature in manifest.features]
    )


def _parity(manifest: Manifest) -> str:
    found = manifest.parity
    if not found:
        return "none: the file is the ONNX model itself"
    # `tidegate train` and `retrain`, which compare on rows that they held out, do not say it.
    kinds = {True: "rows of the CSV file", False: "synthetic rows", None: "held-out rows"}
    which = kinds[found.get("real_rows")]
    return f"{found['rows']} {which}, largest difference {found['largest_difference']:.2g}"


def _reference(manifest: Manifest, rows: Path) -> str:
    held_out = manifest.metrics.get("held_out")
    if held_out:
        return ", ".join(f"{name} {value:g}" for name, value in held_out.items())
    if manifest.input == "tensors":
        return "none: the inputs are tensors"
    if rows.is_file():
        return f"from {rows.name}, without quality: it has no column of true values"
    return f"none: put rows beside the model, as {rows.name}"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more
