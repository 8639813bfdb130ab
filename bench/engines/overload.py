"""How long an engine that scales takes from an overload until it keeps the objective again.

Requests are held for `DEVICE_SECONDS` (as on an accelerator), so that one machine can run several replicas.
The load rises at once to three times what one replica can answer.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from bench.engines.bodies import Bodies
from bench.engines.engine import Running
from bench.engines.measures import sent_load
from bench.running.requests_csv import read_requests

DEVICE_SECONDS: Final = 0.1
REPLICAS: Final = 6
LOW_SECONDS, LOW_RATE = 20.0, 4.0
HIGH_SECONDS, HIGH_RATE = 120.0, 60.0
OBJECTIVE_SECONDS: Final = 0.5
QUANTILE: Final = 0.95
WINDOW_SECONDS: Final = 5.0


def seconds_until_kept(running: Running, bodies: Bodies) -> float:
    """Seconds from the rise until p95 of each later window of 5 s keeps 0.5 s; infinite if never."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sent_load(running, bodies, [(LOW_SECONDS, LOW_RATE), (HIGH_SECONDS, HIGH_RATE)], folder)
        sent = read_requests(next(folder.glob("20*")))
    planned, responses = sent.planned, sent.responses
    kept = float("inf")
    last = LOW_SECONDS + HIGH_SECONDS - WINDOW_SECONDS
    for start in np.arange(last, LOW_SECONDS - 1, -WINDOW_SECONDS):
        inside = (planned >= start) & (planned < start + WINDOW_SECONDS)
        if np.quantile(responses[inside], QUANTILE) > OBJECTIVE_SECONDS:
            break
        kept = float(start - LOW_SECONDS)
    return kept
