"""Thresholds: what a run must keep, as a person writes it: `p95<500ms`, `failed<=0`, `heavy.p99<2s`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.report.summary import Figures, Summary, ThresholdResult

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
}
TIME_UNITS: Final[Mapping[str, float]] = {"ms": 1e-3, "s": 1.0, "m": 60.0}
SHARE_UNITS: Final[Mapping[str, float]] = {"": 1.0, "%": 0.01}
COUNT_UNITS: Final[Mapping[str, float]] = {"": 1.0}
UNITS_IN_WORDS: Final = {
    id(TIME_UNITS): "a time, like 500ms or 2s",
    id(SHARE_UNITS): "a share, like 0.01 or 1%",
    id(COUNT_UNITS): "a plain number",
}
Units = Mapping[str, float]

# What can be held to a threshold: of all requests or of one kind, and of the run as a whole.
FIGURES: Final[Mapping[str, tuple[Units, Callable[[Figures], float | None]]]] = {
    "p50": (TIME_UNITS, lambda of: of.response_p50_seconds),
    "p95": (TIME_UNITS, lambda of: of.response_p95_seconds),
    "p99": (TIME_UNITS, lambda of: of.response_p99_seconds),
    "max": (TIME_UNITS, lambda of: of.response_max_seconds),
    "mean": (TIME_UNITS, lambda of: of.response_mean_seconds),
    "sent": (COUNT_UNITS, lambda of: of.sent),
    "answered": (COUNT_UNITS, lambda of: of.answered),
    "failed": (COUNT_UNITS, lambda of: of.failed),
    "failed_ratio": (SHARE_UNITS, lambda of: of.failed / of.sent if of.sent else None),
}
RUN: Final[Mapping[str, tuple[Units, Callable[[Summary], float | None]]]] = {
    "p95_last_third": (TIME_UNITS, lambda of: of.response_p95_last_third_seconds),
    "lag_p99": (TIME_UNITS, lambda of: of.lag_p99_seconds),
    "replicas_min": (COUNT_UNITS, lambda of: of.replicas_min),
    "replicas_max": (COUNT_UNITS, lambda of: of.replicas_max),
}
PATTERN: Final = re.compile(
    r"\s*(?:(?P<kind>[a-z]+)\.)?(?P<metric>[a-z0-9_]+)\s*(?P<operator><=|>=|==|<|>)\s*"
    r"(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>[a-z%]*)\s*"
)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A parsed threshold. Its limit is in base units (seconds, shares, counts)."""

    text: str
    kind: str | None
    metric: str
    operator: str
    limit: float

    def judge(self, summary: Summary) -> ThresholdResult:
        """Whether a run keeps it. What is not known is not kept."""
        value = self._value(summary)
        passed = value is not None and OPERATORS[self.operator](value, self.limit)
        seconds = {**FIGURES, **RUN}[self.metric][0] is TIME_UNITS
        return ThresholdResult(text=self.text, value=value, seconds=seconds, passed=passed)

    def _value(self, summary: Summary) -> float | None:
        if self.metric in RUN:
            return RUN[self.metric][1](summary)
        figures = summary.by_kind.get(self.kind) if self.kind else summary
        return FIGURES[self.metric][1](figures) if figures else None


def parse_threshold(text: str) -> Threshold:
    """A threshold from its text.

    Raises:
        UsageError: it is none; the text is named, and what would be one.
    """
    match = PATTERN.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--threshold {text!r}: needs the form [KIND.]METRIC<VALUE, like 'p95<500ms', "
            "'failed<=0' or 'heavy.p99<2s'"
        )
    kind, metric, unit = match["kind"], match["metric"], match["unit"]
    if kind is not None and kind not in REQUEST_KINDS:
        raise UsageError(
            f"--threshold {text!r}: there is no kind {kind!r}: {', '.join(REQUEST_KINDS)}"
        )
    known: Mapping[str, tuple[Units, object]] = FIGURES if kind else {**FIGURES, **RUN}
    if metric not in known:
        raise UsageError(
            f"--threshold {text!r}: there is no metric {metric!r}: {', '.join(sorted(known))}"
        )
    units = known[metric][0]
    if unit not in units:
        raise UsageError(f"--threshold {text!r}: {metric} needs {UNITS_IN_WORDS[id(units)]}")
    limit = float(match["value"]) * units[unit]
    return Threshold(text.strip(), kind, metric, match["operator"], limit)
