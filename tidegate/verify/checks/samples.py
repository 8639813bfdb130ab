"""Values that Prometheus has now."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import quote

from tidegate.verify.peer import Peer, PeerError


async def samples(prometheus: Peer, expression: str) -> list[dict[str, Any]]:
    """The samples of an instant query.

    Raises:
        PeerError: Prometheus does not answer it.
    """
    answer = await prometheus.get(f"/api/v1/query?query={quote(expression)}")
    return list(answer["data"]["result"])


async def value(prometheus: Peer, series: str) -> float:
    """The value of a series of which there is one.

    Raises:
        PeerError: there is none, or it is NaN.
    """
    found = await samples(prometheus, series)
    number = float(found[0]["value"][1]) if found else math.nan
    if math.isnan(number):
        raise PeerError(f"Prometheus has no value of {series}")
    return number
