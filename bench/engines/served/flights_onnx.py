"""The flights model by ONNX Runtime alone: what every engine but Tidegate's own service runs.

It imports nothing of Tidegate, as each engine has an environment of its own. One thread per request, as in
Tidegate's service: the engine's slots are the parallelism.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class Flights:
    """The model of an artefact folder, by default that of the variable FLIGHTS."""

    def __init__(self, folder: str = "") -> None:
        path = Path(folder or os.environ["FLIGHTS"])
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        self.classes: list[str] = manifest["classes"]
        self.features: list[tuple[str, dict[str, float]]] = [
            (each["name"], {name: float(code) for code, name in enumerate(each["categories"])})
            for each in manifest["features"]
        ]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def encode(self, instances: list[dict[str, Any]]) -> np.ndarray:
        """The rows as the graph's input."""
        rows = [[self._number(row, *each) for each in self.features] for row in instances]
        return np.array(rows, np.float32)

    @staticmethod
    def _number(row: dict[str, Any], name: str, codes: dict[str, float]) -> float:
        value = row.get(name)
        if value is None:
            return float("nan")
        return codes.get(value, -1.0) if codes else float(value)

    def run(self, rows: np.ndarray) -> list[dict[str, Any]]:
        """The label and its probability for each encoded row."""
        labels, probabilities = self._session.run(None, {"features": rows})
        return [
            {"label": str(label), "probability": float(each.max())}
            for label, each in zip(labels, probabilities, strict=True)
        ]

    def predict(self, instances: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The label and its probability for each row."""
        return self.run(self.encode(instances))
