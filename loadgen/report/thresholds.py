"""Thresholds of a run: `p95<500ms`, `failed<=0`, `heavy.p99<2s`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.checks import OPERATORS
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.plan.units import TIME_UNITS
from tidegate.loadgen.report.summary import Figures, Summary, ThresholdResult

FRACTION_UNITS: Final[Mapping[str, float]] = {"": 1.0, "%": 0.01}
COUNT_UNITS: Final[Mapping[str, float]] = {"": 1.0}
UNIT_DESCRIPTIONS: Final = {
    id(TIME_UNITS): "a duration such as 500ms or 2s",
    id(FRACTION_UNITS): "a fraction such as 0.01 or 1%",
    id(COUNT_UNITS): "a plain number",
}
Units = Mapping[str, float]

# Metrics of all requests or of one kind, and metrics of the whole run.
FIGURE_METRICS: Final[Mapping[str, tuple[Units, Callable[[Figures], float | None]]]] = {
    "p50": (TIME_UNITS, lambda of: of.response_p50_seconds),
    "p95": (TIME_UNITS, lambda of: of.response_p95_seconds),
    "p99": (TIME_UNITS, lambda of: of.response_p99_seconds),
    "max": (TIME_UNITS, lambda of: of.response_max_seconds),
    "mean": (TIME_UNITS, lambda of: of.response_mean_seconds),
    "sent": (COUNT_UNITS, lambda of: of.sent),
    "answered": (COUNT_UNITS, lambda of: of.answered),
    "failed": (COUNT_UNITS, lambda of: of.failed),
    "failed_ratio": (FRACTION_UNITS, lambda of: of.failed / of.sent if of.sent else None),
}
RUN_METRICS: Final[Mapping[str, tuple[Units, Callable[[Summary], float | None]]]] = {
    "p95_last_third": (TIME_UNITS, lambda of: of.response_p95_last_third_seconds),
    "lag_p99": (TIME_UNITS, lambda of: of.lag_p99_seconds),
    "replicas_min": (COUNT_UNITS, lambda of: of.replicas_min),
    "replicas_max": (COUNT_UNITS, lambda of: of.replicas_max),
}
PATTERN: Final = re.compile(
    r"\s*(?:(?P<kind>[a-z][a-z0-9_-]*)\.)?(?P<metric>[a-z0-9_]+)\s*(?P<operator><=|>=|==|!=|<|>)\s*"
    r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>[a-z%]*)\s*"
)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A parsed threshold. Its limit is in base units (seconds, fractions, counts)."""

    text: str
    kind: str | None
    metric: str
    operator: str
    limit: float

    def evaluate(self, summary: Summary) -> ThresholdResult:
        """Evaluate the threshold for a run. It fails if the metric has no value."""
        value = self._value(summary)
        passed = value is not None and OPERATORS[self.operator](value, self.limit)
        seconds = {**FIGURE_METRICS, **RUN_METRICS}[self.metric][0] is TIME_UNITS
        return ThresholdResult(text=self.text, value=value, seconds=seconds, passed=passed)

    def _value(self, summary: Summary) -> float | None:
        if self.metric in RUN_METRICS:
            return RUN_METRICS[self.metric][1](summary)
        figures = summary.by_kind.get(self.kind) if self.kind else summary
        return FIGURE_METRICS[self.metric][1](figures) if figures else None


def parse_threshold(text: str, kinds: Collection[str] = REQUEST_KINDS) -> Threshold:
    """Parse a threshold; `kinds` are those of the plan.

    Raises:
        UsageError: it is invalid; the message says what is expected.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--threshold {text!r}: expected [KIND.]METRIC<VALUE, such as 'p95<500ms', "
            "'failed<=0' or 'heavy.p99<2s'"
        )
    kind, metric, unit = match["kind"], match["metric"], match["unit"]
    if kind is not None and kind not in kinds:
        raise UsageError(
            f"--threshold {text!r}: unknown kind {kind!r}; expected one of {', '.join(kinds)}"
        )
    known: Mapping[str, tuple[Units, object]] = (
        FIGURE_METRICS if kind else {**FIGURE_METRICS, **RUN_METRICS}
    )
    if metric not in known:
        raise UsageError(
            f"--threshold {text!r}: unknown metric {metric!r}; expected one of {', '.join(sorted(known))}"
        )
    units = known[metric][0]
    if unit not in units:
        raise UsageError(f"--threshold {text!r}: {metric} requires {UNIT_DESCRIPTIONS[id(units)]}")
    limit = float(match["value"]) * units[unit]
    return Threshold(text.strip(), kind, metric, match["operator"], limit)
