"""The requests: the rows of the artefact's samples, as instances and as encoded tensors."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engines.catalogue import FLIGHTS, SERVED

ROWS = 200


@dataclass(frozen=True)
class Bodies:
    """Files with one request a line, and the probability of the first row's label."""

    instances: Path
    tensors: Path
    expected: float

    def of(self, *, tensors: bool) -> Path:
        """The file of a protocol."""
        return self.tensors if tensors else self.instances


def write_bodies(folder: Path, size: int = 1) -> Bodies:
    """Write both files, of requests with this number of rows."""
    folder.mkdir(exist_ok=True)
    lines = (
        (FLIGHTS / "samples.ndjson").read_text(encoding="utf-8").splitlines()[: max(ROWS, 5 * size)]
    )
    # Rows with a missing value are left out: JSON has no NaN, which is what the tensor would need.
    rows = [row for row in map(json.loads, lines) if None not in row.values()]
    model = _model()
    encoded = model.encode(rows)
    instances, tensors = folder / "instances.ndjson", folder / "tensors.ndjson"
    starts = range(0, len(rows) - size + 1, size)
    instances.write_text("\n".join(json.dumps({"instances": rows[i : i + size]}) for i in starts))
    tensors.write_text("\n".join(json.dumps(_tensor(encoded[i : i + size])) for i in starts))
    return Bodies(instances, tensors, model.predict(rows[:1])[0]["probability"])


def _tensor(rows: Any) -> dict[str, Any]:
    data = rows.ravel().tolist()
    tensor = {"name": "features", "shape": [*rows.shape], "datatype": "FP32", "data": data}
    return {"inputs": [tensor]}


def _model() -> Any:
    """The model as the engines load it."""
    found = importlib.util.spec_from_file_location("flights_onnx", SERVED / "flights_onnx.py")
    assert found and found.loader  # noqa: PT018
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.Flights(str(FLIGHTS))


def probability(answer: dict[str, Any] | list[Any]) -> float:
    """The probability in an engine's answer, whatever its shape.

    Raises:
        ValueError: it has none.
    """
    if isinstance(answer, dict) and "outputs" in answer:
        (found,) = (out["data"][0] for out in answer["outputs"] if out["name"] == "probability")
        return float(found)
    rows = answer["predictions"] if isinstance(answer, dict) else answer
    if not rows:
        raise ValueError(f"no prediction: {answer}")
    return float(rows[0]["probability"])
