"""Counters over time: by how much those of all replicas grew in each period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from tidegate.drift.report.periods import Period, place

POINTS: Final = 1000
"""Samples asked for of each series: what a replica counts between its last one and its end is lost."""
MILLISECOND: Final = 0.001
"""To which Prometheus rounds times."""
SECONDS: Final = 30.0

Floats = npt.NDArray[np.float64]


class PrometheusAwayError(RuntimeError):
    """Prometheus does not answer, or not as it should; the text says how."""


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one series: its labels, when, and what."""

    labels: Mapping[str, str]
    times: Floats
    values: Floats


def growth(series: Series, periods: Sequence[Period], began: float) -> Floats:
    """By how much a counter grew in each period.

    A counter that falls has begun anew at 0; one that first appears after the first sample of all began at 0
    as well. Both count from there, so that what a replica counted before it was first read is not lost.

    Args:
        series: the counter's samples, in their order.
        periods: where to add up.
        began: the moment of the first sample that any series could have.
    """
    if not len(series.values):
        return np.zeros(len(periods))
    before = np.concatenate([[0.0], series.values[:-1]])
    if series.times[0] <= began + MILLISECOND:
        before[0] = series.values[0]
    grown = np.where(series.values >= before, series.values - before, series.values)
    places = place(periods, series.times)
    inside = places >= 0
    added = np.bincount(places[inside], grown[inside], minlength=len(periods))
    return added.astype(np.float64)


def growth_by(
    found: Iterable[Series], periods: Sequence[Period], began: float, *names: str
) -> dict[tuple[str, ...], Floats]:
    """The growth of all replicas together, by the values of these labels."""
    added: dict[tuple[str, ...], Floats] = {}
    for series in found:
        of = tuple(series.labels.get(name, "") for name in names)
        held = added.setdefault(of, np.zeros(len(periods)))
        held += growth(series, periods, began)
    return added


async def samples(
    session: aiohttp.ClientSession, prometheus: str, query: str, begin: float, end: float
) -> list[Series]:
    """The samples of a range query, `POINTS` or fewer of each series.

    Raises:
        PrometheusAwayError: it does not answer.
    """
    step = max(1.0, (end - begin) / POINTS)
    asked = {"query": query, "start": f"{begin:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
    return read_series(await _ask(session, f"{prometheus}/api/v1/query_range", asked))


async def raw(
    session: aiohttp.ClientSession, prometheus: str, query: str, at: float
) -> list[Series]:
    """Every sample that an instant query over a range, such as `ALERTS[10m]`, finds.

    Raises:
        PrometheusAwayError: it does not answer.
    """
    asked = {"query": query, "time": f"{at:.3f}"}
    return read_series(await _ask(session, f"{prometheus}/api/v1/query", asked))


async def _ask(session: aiohttp.ClientSession, url: str, asked: Mapping[str, str]) -> bytes:
    try:
        timeout = aiohttp.ClientTimeout(total=SECONDS)
        async with session.post(url, data=asked, timeout=timeout) as answer:
            text = await answer.read()
            if not answer.ok:
                raise PrometheusAwayError(f"{url} answers {answer.status}: {text[:200]!r}")
            return text
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise PrometheusAwayError(f"{url} does not answer: {error or 'too late'}") from error


def read_series(text: bytes) -> list[Series]:
    """The series in an answer of Prometheus' HTTP API.

    Raises:
        PrometheusAwayError: it is no such answer.
    """
    try:
        told = TypeAdapter(dict[str, Any]).validate_json(text)
        return [_series(one) for one in told["data"]["result"]]
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise PrometheusAwayError(f"Prometheus' answer does not read: {error}") from error


def _series(one: Mapping[str, Any]) -> Series:
    pairs = np.array(one["values"], np.float64).reshape(-1, 2)
    return Series(dict(one["metric"]), pairs[:, 0], pairs[:, 1])
