"""Recorded series over a range of time, on one time axis for all charts of a page."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from tidegate.runtime.prometheus import Prometheus, Series
from tidegate.store.query import time_ranges

# Prometheus forgets a sample early (`--query.lookback-delta`), and some rules run each 15 s only.
LAST: Final = "20s"
# Each combination of their values is a line.
LABELS: Final = ("state", "model", "version")
# Of a query, those with the largest values: a page has a dozen charts.
MAX_LINES: Final = 20
# The step between two samples of each range that a person may choose, in seconds.
STEPS: Final = {"5m": 2, "15m": 5, "1h": 15, "6h": 60, "24h": 300, "7d": 1800}


class Range(NamedTuple):
    """A range by its name in an address.

    Its length and the step between two samples are in seconds, its end is in seconds since 1970; 0 is now.
    """

    name: str
    seconds: int
    step: int
    until: float = 0.0


RANGES: Final = {
    name: Range(name, round(time_ranges.age(name).total_seconds()), step)
    for name, step in STEPS.items()
}
DEFAULT: Final = "15m"


def chosen_range(request: Request, names: Iterable[str] = RANGES) -> Range:
    """The one of these ranges that an address names, or the default."""
    name, until = (request.query_params.get(one, "") for one in ("range", "until"))
    end = time_ranges.microseconds(until) if until else None
    found = RANGES[name if name in names else DEFAULT]
    return found._replace(until=end / 1e6) if end and end > 0 else found


def chart(title: str, lines: Mapping[str, str], **options: Any) -> dict[str, Any]:
    """A chart of a page, as `Spec` of static/chart.js, by the key of each line, as of `read_lines`.

    The name of a series alone stands for all of its lines, such as one for each version of a model.
    """
    return {"title": title, "series": [(key, name) for name, key in lines.items()], **options}


def replicas_chart(*states: str, **options: Any) -> dict[str, Any]:
    """The number of replicas in these states."""
    lines = {one: f"tidegate_replicas {one}" for one in states}
    return chart("Replicas", lines, steps=True, **options)


def keys_of(charts: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of the lines of all these charts."""
    return [key for one in charts for key, _ in one["series"]]


async def read_lines(
    prometheus: Prometheus, keys: Iterable[str], span: Range, now: float, last: str = LAST
) -> dict[str, Any]:
    """The lines as columns: `times` in seconds since 1970, and `values` by key; None is no sample.

    It is one query. The times are multiples of the step, so that a line keeps its shape as time passes.
    The key of a line is the name of its series and, after spaces, the values of its `LABELS`; every line of
    the series is read. A sample may be as old as `last`, which is longer than the interval of its rule.

    Raises:
        HttpError: Prometheus does not answer.
    """
    names = "|".join(sorted({key.partition(" ")[0] for key in keys}))
    query = f'last_over_time({{__name__=~"{names}"}}[{last}])'
    return await read_queries(prometheus, {"": query}, span, now, ("__name__", *LABELS))


async def read_queries(
    prometheus: Prometheus,
    queries: Mapping[str, str],
    span: Range,
    now: float,
    labels: Sequence[str] = (),
) -> dict[str, Any]:
    """The lines of each query likewise; a key is that of its query and, after spaces, its labels' values.

    Without labels it is the values of all that tell lines apart, and at most `MAX_LINES` of a query are read.
    """
    end = now // span.step * span.step
    begin = end - span.seconds
    count = span.seconds // span.step + 1
    columns: dict[str, list[float | None]] = {}
    asked = (prometheus.query_range(one, begin, end, span.step) for one in queries.values())
    found = zip(queries, await asyncio.gather(*asked), strict=True)
    shown = (
        (first, one)
        for first, lines in found
        for one in (lines if labels else heapq.nlargest(MAX_LINES, lines, key=_peak))
    )
    for first, one in shown:
        named = {"replica", "pod"} & one.labels.keys()
        hidden = {"__name__", "job", *(["instance"] if named else [])}
        names = labels or sorted(one.labels.keys() - hidden)
        values = (one.labels[name] for name in names if name in one.labels)
        column = columns.setdefault(" ".join(filter(None, (first, *values))), [None] * count)
        for at, value in one.samples:
            if math.isfinite(value):
                column[round((at - begin) / span.step)] = value
    return {"times": [begin + step * span.step for step in range(count)], "values": columns}


def _peak(line: Series) -> float:
    return max((value for _, value in line.samples if math.isfinite(value)), default=0.0)
