"""Requests of the Open Inference Protocol to the flight model."""

from __future__ import annotations

from typing import Any

CATEGORIES = {"carrier", "origin", "dest"}
INFER = "/v2/models/flights/infer"


def tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Instances as input tensors."""
    return [
        {
            "name": name,
            "datatype": "BYTES" if name in CATEGORIES else "FP32",
            "shape": [len(rows), 1],
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]
