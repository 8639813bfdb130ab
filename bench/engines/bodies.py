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
    """Files with one request of one row a line, and the probability of the first row's label."""

    instances: Path
    tensors: Path
    expected: float

    def of(self, *, tensors: bool) -> Path:
        """The file of a protocol."""
        return self.tensors if tensors else self.instances


def write_bodies(folder: Path) -> Bodies:
    """Write both files."""
    lines = (FLIGHTS / "samples.ndjson").read_text(encoding="utf-8").splitlines()[:ROWS]
    # Rows with a missing value are left out: JSON has no NaN, which is what the tensor would need.
    rows = [row for row in map(json.loads, lines) if None not in row.values()]
    model = _model()
    encoded = model.encode(rows)
    instances, tensors = folder / "instances.ndjson", folder / "tensors.ndjson"
    instances.write_text("\n".join(json.dumps({"instances": [row]}) for row in rows))
    tensors.write_text("\n".join(json.dumps(_tensor(row.tolist())) for row in encoded))
    return Bodies(instances, tensors, model.predict(rows[:1])[0]["probability"])


def _tensor(row: list[float]) -> dict[str, Any]:
    tensor = {"name": "features", "shape": [1, len(row)], "datatype": "FP32", "data": row}
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
