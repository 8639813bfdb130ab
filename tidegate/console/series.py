"""Recorded series over a range of time, on one time axis for all charts of a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request

from tidegate.runtime.prometheus import Prometheus, Series
from tidegate.store.query import time_ranges

# Prometheus forgets a sample early (`--query.lookback-delta`), and some rules run each 15 s only.
LAST: Final = "20s"


@dataclass(frozen=True, slots=True)
class Range:
    """A range that a person may choose.

    Attributes:
        name: what an address calls it.
        seconds: its length.
        step: between two samples, in seconds.
        until: its end, in seconds since 1970; 0 is now.
    """

    name: str
    seconds: int
    step: int
    until: float = 0.0


RANGES: Final = {
    one.name: one
    for one in (
        Range("5m", 300, 2),
        Range("15m", 900, 5),
        Range("1h", 3600, 15),
        Range("6h", 21_600, 60),
        Range("24h", 86_400, 300),
        Range("7d", 604_800, 1800),
    )
}
DEFAULT: Final = "15m"


def chosen_range(request: Request, names: Iterable[str] = RANGES) -> Range:
    """The one of these ranges that an address names, or the default."""
    name, until = (request.query_params.get(one, "") for one in ("range", "until"))
    end = time_ranges.microseconds(until) if until else None
    found = RANGES[name if name in names else DEFAULT]
    return replace(found, until=end / 1e6) if end and end > 0 else found


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a chart: the series and, if it has labels, which one, such as `state="ready"`.

    With `by`, it is a line for each combination of values of these labels, such as each version of a model.
    """

    series: str
    label: str = ""
    value: str = ""
    by: tuple[str, ...] = ()

    def key(self) -> str:
        """Its name in the data of the charts."""
        return f"{self.series}/{self.value}" if self.label else self.series


class Chart:
    """A chart of a page: its lines by their names, and options as in `Spec` of static/chart.js."""

    def __init__(self, title: str, lines: Mapping[str, Line | str], **options: Any) -> None:
        """Store them; the name of a series is a line without a label."""
        self.title, self.options = title, options
        self.lines = {
            name: Line(one) if isinstance(one, str) else one for name, one in lines.items()
        }

    def spec(self) -> dict[str, Any]:
        """What the script needs."""
        series = [(line.key(), name) for name, line in self.lines.items()]
        return {"title": self.title, "series": series, **self.options}


def replicas_chart(*states: str, **options: Any) -> Chart:
    """The number of replicas in these states."""
    lines = {one: Line("tidegate_replicas", "state", one) for one in states}
    return Chart("Replicas", lines, steps=True, **options)


def lines_of(charts: Iterable[Chart]) -> list[Line]:
    """The lines of all these charts."""
    return [line for chart in charts for line in chart.lines.values()]


async def read_lines(
    prometheus: Prometheus, lines: Sequence[Line], span: Range, now: float, last: str = LAST
) -> dict[str, Any]:
    """The lines as columns: `times` in seconds since 1970, and `values` by key; None is no sample.

    It is one query. The times are multiples of the step, so that a line keeps its shape as time passes.
    The key of a line with `by` continues with a space and the values of these labels.

    Args:
        prometheus: its recorded series.
        lines: those to read.
        span: the range that ends now.
        now: in seconds since 1970.
        last: how old a sample may be: longer than the interval of the rules.

    Raises:
        HttpError: Prometheus does not answer.
    """
    end = now // span.step * span.step
    begin = end - span.seconds
    query = selector((line.series for line in lines), last)
    found = await prometheus.query_range(query, begin, end, span.step)
    count = span.seconds // span.step + 1
    columns: dict[str, list[float | None]] = {
        line.key(): [None] * count for line in lines if not line.by
    }
    for one in found:
        if not (key := key_of(one, lines)):
            continue
        column = columns.setdefault(key, [None] * count)
        for at, value in one.samples:
            if math.isfinite(value):
                column[round((at - begin) / span.step)] = value
    return {"times": [begin + step * span.step for step in range(count)], "values": columns}


def selector(names: Iterable[str], last: str = LAST) -> str:
    """The query for all series with these names."""
    return f'last_over_time({{__name__=~"{"|".join(sorted({*names}))}"}}[{last}])'


def key_of(one: Series, lines: Sequence[Line]) -> str:
    """The key of the line that a series belongs to; empty if to none."""
    for line in lines:
        here = not line.label or one.labels.get(line.label) == line.value
        if here and line.series == one.labels.get("__name__"):
            return " ".join([line.key(), *(one.labels.get(name, "") for name in line.by)])
    return ""
