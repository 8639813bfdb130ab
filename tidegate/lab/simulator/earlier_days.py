"""The rates around a time of day, as the live autoscaler reads them from Prometheus."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from tidegate.autoscaler.wrappers.daily_rise import (
    AHEAD_SECONDS,
    LEVEL_SECONDS,
    READ_SECONDS,
    RECENT_SECONDS,
)

Floats = npt.NDArray[np.float64]

MINUTE: Final = 60.0


def rates_around(
    rates: Floats, interval_seconds: float, at: float, *, ahead: bool = True
) -> list[float]:
    """Of a day, the rates before that time and, if wanted, `ahead` of it; empty if it has none."""
    ahead_seconds = float(max(AHEAD_SECONDS)) if ahead else 0.0
    first = max(0, int((at - LEVEL_SECONDS - MINUTE) // interval_seconds))
    part = rates[first : math.ceil((at + ahead_seconds) / interval_seconds)]
    edges = (first + np.arange(len(part) + 1)) * interval_seconds
    if at <= edges[0] or at > edges[-1]:
        return []
    requests = np.append(0.0, np.cumsum(part) * interval_seconds)

    def mean(begin: Floats, end: Floats) -> Floats:
        begin = np.maximum(begin, edges[0])
        counts = np.interp(end, edges, requests) - np.interp(begin, edges, requests)
        return np.asarray(counts / (end - begin), np.float64)

    ends = at + np.arange(-RECENT_SECONDS, ahead_seconds + 1, READ_SECONDS)
    ends = ends[(ends > edges[0]) & (ends <= edges[-1])]
    minutes = mean(ends - MINUTE, ends)
    level = mean(np.array([at - LEVEL_SECONDS]), np.array([at]))[0]
    found = [float(level), float(minutes[ends <= at].max())]
    if ahead:
        within = (minutes[(ends >= at) & (ends <= at + end)] for end in AHEAD_SECONDS)
        found += [float(one.max()) for one in within]
    return found
