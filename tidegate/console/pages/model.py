"""The page of the model: drift by feature, its predictions, its shadow, and its quality where labels come."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import BaseRoute

from tidegate.console.problems import Problems
from tidegate.console.series import RANGES, chart, keys_of, read_lines
from tidegate.console.site import Page, Site
from tidegate.monitoring.counting.bar import Bar
from tidegate.rules.drift_rules import min_rows
from tidegate.runtime.prometheus import Prometheus

PAGE: Final = Page("model", "/model", "Model")
SECONDS: Final = 15.0
# The windows of the rules, and the time that the charts show for each.
SPANS: Final = {"5m": RANGES["1h"], "1h": RANGES["24h"], "1d": RANGES["7d"]}
SHORTEST: Final = next(iter(SPANS))
# The rules of the longer windows run each minute.
LAST: Final = "3m"
SHADOW: Final = ("model", "version", "shadow")
PREDICTIONS: Final = "predictions"
# The places of the bins below and above the numbers at training; a category is after them.
ENDS: Final = {"under": -math.inf, "over": sys.float_info.max}


@dataclass(slots=True)
class Distribution:
    """One feature of a version of a model, or its predicted labels, over a window.

    `psi` is the population stability index, None without rows; `drifted`, whether it is significant and above
    `drift.psi_warning`. `reference` and `current` have the fraction of the rows at training and now, by bin;
    `ranges`, what a feature's bins are called for a person.
    """

    of: str
    name: str
    psi: float | None = None
    rows: int = 0
    drifted: bool = False
    reference: dict[str, float] = field(default_factory=dict)
    current: dict[str, float] = field(default_factory=dict)
    ranges: dict[str, str] = field(default_factory=dict)

    @property
    def bins(self) -> list[str]:
        """The bins in order: ranges of numbers by where they begin, then those with a name."""
        return sorted({*self.reference, *self.current}, key=_place)

    @property
    def bars(self) -> list[Bar]:
        """The fractions of the rows in each bin."""
        reference, current = self.reference, self.current
        return [
            Bar(self.shown(one), reference.get(one, 0.0), current.get(one, 0.0))
            for one in self.bins
        ]

    def shown(self, name: str) -> str:
        """A bin for a person: `over 15` is above the last edge."""
        names = [self.ranges.get(one, one) for one in self.bins]
        ranges = [one for one in names if " to " in one]
        if name not in ENDS or not ranges:
            return self.ranges.get(name, name)
        edge = ranges[0].partition(" to ")[0] if name == "under" else ranges[-1].rpartition(" ")[2]
        return f"{name} {edge}"


def _place(name: str) -> tuple[float, str]:
    if name in ENDS:
        return ENDS[name], name
    try:
        return float(name.partition(" to ")[0]), name
    except ValueError:
        return math.inf, name


async def read_distributions(
    prometheus: Prometheus, window: str, warning: float
) -> list[Distribution]:
    """Those of every version that is served or watched, those that drifted most first.

    A significant difference counts as drift if its index is above the warning.
    """
    what = f"(psi|drift|samples|ratio):{window}|reference_ratio:now"
    found: dict[tuple[str, str], Distribution] = {}
    query = (
        f'last_over_time({{__name__=~"model:(feature|prediction)_({what})"}}[{LAST}])'
        " or group by (model, version, feature, bin, range)"
        f' (last_over_time(ml_feature_reference_ratio{{job="model",range!=""}}[{LAST}]))'
    )
    for one in await prometheus.query(query):
        labels, value = one.labels, one.samples[-1][1]
        key = (f"{labels['model']} {labels['version']}", labels.get("feature", PREDICTIONS))
        each = found.setdefault(key, Distribution(*key))
        series, part = labels.get("__name__", ""), labels.get("bin", labels.get("label", ""))
        if "range" in labels:
            each.ranges[part] = labels["range"]
        elif "_psi:" in series:
            each.psi = value
        elif "_samples:" in series:
            each.rows = round(value)
        elif "_drift:" in series:
            each.drifted = value > warning
        elif "_reference_ratio:" in series:
            each.reference[part] = value
        else:
            each.current[part] = value
    return sorted(found.values(), key=lambda one: (not one.drifted, -(one.psi or 0.0), one.name))


async def read_shadows(
    prometheus: Prometheus, window: str
) -> Mapping[tuple[str, ...], Mapping[str, int]]:
    """The rows of every shadow that a replica has, by its model, the version of that, and its own version.

    On `true` rows both say the same, on `false` ones they do not; it did not score `full` ones, as its queue
    was full, and `failed` ones, as it raised an error.
    """
    counters = '{__name__=~"ml_shadow_(predictions|dropped)_total"}'
    found: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    query = f"sum by ({', '.join(SHADOW)}, agree, reason) (increase({counters}[{window}]))"
    for one in await prometheus.query(query):
        kind = one.labels.get("agree") or one.labels.get("reason", "")
        found[tuple(one.labels[name] for name in SHADOW)][kind] += round(one.samples[-1][1])
    return dict(sorted(found.items()))


def quality_charts(window: str) -> list[dict[str, Any]]:
    """The quality in a window; each line stands for one of each version of a model."""

    def quality(title: str, name: str, **options: str) -> dict[str, Any]:
        lines = {"measured by labels": "realised", "expected without labels": "expected"}
        keys = {label: f"model:{name}_{kind}:{window}" for label, kind in lines.items()}
        return chart(f"{title} over {window}", keys, optional=True, **options)

    lag = {"median of an hour": "model:label_lag_seconds_p50:1h"}
    return [
        quality("Accuracy", "accuracy", unit="%"),
        quality("Absolute error", "absolute_error"),
        chart("From a prediction to its label", lag, optional=True, unit="s"),
    ]


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    prometheus, drift = site.sources.prometheus, site.sources.settings.drift

    def window_of(request: Request) -> str:
        window = request.query_params.get("window", "")
        return window if window in SPANS else SHORTEST

    async def read(window: str) -> dict[str, Any]:
        problems, charts = Problems(), quality_charts(window)
        read = await problems.read(
            found=read_distributions(prometheus, window, drift.psi_warning),
            shadows=read_shadows(prometheus, window),
            lines=read_lines(prometheus, keys_of(charts), SPANS[window], time.time(), LAST),
        )
        return {
            **read,
            "window": window,
            "windows": SPANS,
            "min_rows": min_rows(window, drift),
            "charts": charts,
            "problems": problems,
            "chart": {"lines": read["lines"]},
        }

    return site.live_page(PAGE, window_of, read, SECONDS)
