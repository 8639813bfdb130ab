"""What an import found, as lines for people."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tidegate.service.model.artefact import Manifest
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import Target
from tidegate.service.model.tensor_spec import TensorSpec

NAMES: Final = 8
"""Names shown of a longer list."""
READING_SECONDS: Final = 1.0
PROGRESS_SECONDS: Final = 10.0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


@contextmanager
def progress(path: Path, say: Callable[[str], object] = _say) -> Iterator[None]:
    """Tell a person in the block, from a thread, after `READING_SECONDS` and each `PROGRESS_SECONDS`."""
    began, ended = time.monotonic(), threading.Event()
    text = f"reading {path}, and converting it if it is a new model file:"

    def tell() -> None:
        seconds = READING_SECONDS
        while not ended.wait(seconds):
            say(f"{text} {time.monotonic() - began:.0f} s so far")
            seconds = PROGRESS_SECONDS

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def report(manifest: Manifest, out: Path, rows: Path) -> str:
    """The lines that `tidegate import-model` prints; `rows` is the file of rows that was looked for."""
    inputs = manifest.tensors or manifest.features
    kind = f"{'tensor' if manifest.tensors else 'feature'}{'' if len(inputs) == 1 else 's'}"
    answers = manifest.classes or manifest.outputs or (manifest.target or Target(),)
    lines = {
        "kind": f"{manifest.trained.get('kind', '?')}: {manifest.description}",
        "task": f"{manifest.task}: {_names(answers)}",
        "inputs": f"{len(inputs)} {kind}: {_names(inputs)}",
        "parity": _parity(manifest.parity),
        "reference": _reference(manifest, rows),
    }
    text = "".join(f"  {name:<10} {value}\n" for name, value in lines.items())
    return f"model {manifest.name} {manifest.version} (digest {manifest.digest}) in {out}\n{text}"


def _parity(found: dict[str, Any]) -> str:
    if not found:
        return "none: the file is the ONNX model itself"
    if found.get("served") == "original":
        return served_by(found)
    which = "synthetic" if found.get("real_rows") is False else "real"
    return (
        f"{found['rows']} rows, {which} and {found['ties']} at the model's jumps, largest difference "
        f"{found['largest_difference']:.2g}"
    )


def served_by(parity: dict[str, Any]) -> str:
    """What answers if it is not ONNX Runtime, why, and what that costs; else empty."""
    if parity.get("served") != "original":
        return ""
    return (
        f"served by the original in Python ({parity['seconds_per_row'] * 1000:.2g} ms for a row, and each "
        f"replica imports its library): {parity['reason']}"
    )


def _reference(manifest: Manifest, rows: Path) -> str:
    if held_out := manifest.metrics.get("held_out"):
        return ", ".join(f"{name} {value:g}" for name, value in held_out.items())
    if manifest.tensors:
        return "none: the inputs are tensors"
    if rows.is_file():
        return f"from {rows.name}, without quality: it has no column of true values"
    return f"none: put rows beside the model, as {rows.name}"


def _names(each: Sequence[TensorSpec | Feature | Target | str | int]) -> str:
    names = [
        f"{one.name} {one.datatype} {list(one.shape)}"
        if isinstance(one, TensorSpec)
        else str(getattr(one, "name", one))
        for one in each
    ]
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more
