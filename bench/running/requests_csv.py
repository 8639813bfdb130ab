"""The requests of a load test, from the file that it writes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SentRequests:
    """The planned time in seconds, the response time (infinite if it failed) and the kind of each request."""

    planned: Floats
    responses: Floats
    kinds: list[str]


def read_requests(run: Path) -> SentRequests:
    """The requests of the run in a folder."""
    with (run / "requests.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return SentRequests(
        np.array([float(row["planned_s"]) for row in rows]),
        np.array([np.inf if row["error"] else float(row["response_s"]) for row in rows]),
        [row["kind"] for row in rows],
    )
