"""Requests to the flight model, as instances and as tensors of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

CATEGORIES = {"carrier", "origin", "dest"}
INFER = "/v2/models/flights/infer"
EXAMPLE: dict[str, Any] = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "weekday": 2,
    "hour": 5,
    "minute": 15,
    "distance": 1400,
}
"""An instance with the required features alone."""


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
