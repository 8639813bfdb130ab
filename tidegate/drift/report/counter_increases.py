"""Counters read from Prometheus: their increase over all replicas in each period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from tidegate.drift.report.periods import Period, period_indices

MAX_POINTS: Final = 1000
"""Samples requested of each series. What a replica counts between its last one and its end is lost."""
RESOLUTION_SECONDS: Final = 0.001
"""Prometheus rounds times to milliseconds."""
TIMEOUT_SECONDS: Final = 30.0

Floats = npt.NDArray[np.float64]


class PrometheusUnavailableError(RuntimeError):
    """Prometheus does not respond, or its response is invalid."""


@dataclass(frozen=True, slots=True)
class Series:
    """The labels and samples of one series; times are in seconds since 1970."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats


def increase(series: Series, periods: Sequence[Period], first_sample: float) -> Floats:
    """The increase of a counter in each period.

    A counter that falls was reset to 0. One whose first sample is later than `first_sample` also started at
    0, so its first value is an increase: what a replica counts before its first scrape is included.

    Args:
        series: the counter's samples, in order of time.
        periods: the periods.
        first_sample: the time of the first sample of the range.
    """
    if not len(series.values):
        return np.zeros(len(periods))
    previous = np.concatenate([[0.0], series.values[:-1]])
    if series.times[0] <= first_sample + RESOLUTION_SECONDS:
        previous[0] = series.values[0]
    steps = np.where(series.values >= previous, series.values - previous, series.values)
    indices = period_indices(periods, series.times)
    inside = indices >= 0
    sums = np.bincount(indices[inside], steps[inside], minlength=len(periods))
    return sums.astype(np.float64)


def increases_by(
    found: Iterable[Series], periods: Sequence[Period], first_sample: float, *names: str
) -> dict[tuple[str, ...], Floats]:
    """The increase summed over all replicas, by the values of these labels."""
    sums: dict[tuple[str, ...], Floats] = {}
    for series in found:
        key = tuple(series.labels.get(name, "") for name in names)
        total = sums.setdefault(key, np.zeros(len(periods)))
        total += increase(series, periods, first_sample)
    return sums


async def query_range(
    session: aiohttp.ClientSession, prometheus: str, query: str, begin: float, end: float
) -> list[Series]:
    """The series of a range query, with about `MAX_POINTS` samples each.

    Raises:
        PrometheusUnavailableError: Prometheus does not respond.
    """
    step = max(1.0, (end - begin) / MAX_POINTS)
    form = {"query": query, "start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
    return parse_series(await _post(session, f"{prometheus}/api/v1/query_range", form))


async def query_instant(
    session: aiohttp.ClientSession, prometheus: str, query: str, at: float
) -> list[Series]:
    """The series of an instant query with a range selector, such as `ALERTS[10m]`, with every sample.

    Raises:
        PrometheusUnavailableError: Prometheus does not respond.
    """
    form = {"query": query, "time": f"{at:.3f}"}
    return parse_series(await _post(session, f"{prometheus}/api/v1/query", form))


async def _post(session: aiohttp.ClientSession, url: str, form: Mapping[str, str]) -> bytes:
    try:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with session.post(url, data=form, timeout=timeout) as response:
            body = await response.read()
            if not response.ok:
                raise PrometheusUnavailableError(
                    f"{url} responded with status {response.status}: {body[:200]!r}"
                )
            return body
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise PrometheusUnavailableError(f"{url} does not respond: {error or 'timeout'}") from error


def parse_series(body: bytes) -> list[Series]:
    """The series in a response of Prometheus' HTTP API.

    Raises:
        PrometheusUnavailableError: the response is invalid.
    """
    try:
        parsed = TypeAdapter(dict[str, Any]).validate_json(body)
        return [_series(each) for each in parsed["data"]["result"]]
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise PrometheusUnavailableError(f"invalid response from Prometheus: {error}") from error


def _series(result: Mapping[str, Any]) -> Series:
    pairs = np.array(result["values"], np.float64).reshape(-1, 2)
    return Series(dict(result["metric"]), pairs[:, 0], pairs[:, 1])
