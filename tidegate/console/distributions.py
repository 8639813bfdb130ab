"""The distributions of a model's features and predictions: at training, and in a recent window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tidegate.console.series import Line
from tidegate.runtime.prometheus import Prometheus

# The rules of the longer windows run each minute.
LAST: Final = "3m"
WINDOWS: Final = ("5m", "1h", "1d")
MODEL: Final = ("model", "version")
PREDICTIONS: Final = "predictions"


@dataclass(slots=True)
class Distribution:
    """One feature of a version of a model, or its predicted labels.

    Attributes:
        model: the name of the model.
        version: of the model.
        name: of the feature; `PREDICTIONS` for the predicted labels.
        psi: the population stability index in the window; None without rows.
        rows: the rows in the window.
        drifted: whether the index is significant and above `drift.psi_warning`.
        reference: the fraction of the rows at training, by bin.
        current: the same in the window.
    """

    model: str
    version: str
    name: str
    psi: float | None = None
    rows: int = 0
    drifted: bool = False
    reference: dict[str, float] = field(default_factory=dict)
    current: dict[str, float] = field(default_factory=dict)

    @property
    def bins(self) -> list[str]:
        """The bins in order: numbered ones by number, then those with a name."""
        return sorted(
            {*self.reference, *self.current}, key=lambda one: (not one.isdigit(), len(one), one)
        )

    @property
    def largest(self) -> float:
        """The largest fraction of a bin."""
        return max([*self.reference.values(), *self.current.values()], default=0.0) or 1.0


async def read_distributions(
    prometheus: Prometheus, window: str, warning: float, *, with_bins: bool
) -> list[Distribution]:
    """Those of every version that is served or watched, those that drifted most first.

    Args:
        prometheus: its recorded series.
        window: one of `WINDOWS`.
        warning: the index above which a significant difference counts as drift.
        with_bins: whether to read the fractions, too.

    Raises:
        HttpError: Prometheus does not answer.
    """
    what = [f"{name}:{window}" for name in ("psi", "drift", "samples")]
    what += [f"ratio:{window}", "reference_ratio:now"] if with_bins else []
    names = "|".join(f"model:(feature|prediction)_{one}" for one in what)
    found: dict[tuple[str, str, str], Distribution] = {}
    for one in await prometheus.query(f'last_over_time({{__name__=~"{names}"}}[{LAST}])'):
        labels, value = one.labels, one.samples[-1][1]
        key = (labels["model"], labels["version"], labels.get("feature", PREDICTIONS))
        each = found.setdefault(key, Distribution(*key))
        series, part = labels["__name__"], labels.get("bin", labels.get("label", ""))
        if "_psi:" in series:
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


def by_version(found: Iterable[Distribution]) -> dict[str, list[Distribution]]:
    """Them by model and version, in their order."""
    versions: dict[str, list[Distribution]] = defaultdict(list)
    for one in found:
        versions[f"{one.model} {one.version}"].append(one)
    return dict(versions)


def quality_lines(window: str) -> dict[str, Line]:
    """The series of the quality in a window, by name; each has a line for each version of a model."""
    return {
        name: Line(f"model:{name}:{window}", by=MODEL)
        for name in (
            *("accuracy_realised", "accuracy_expected"),
            *("absolute_error_realised", "absolute_error_expected"),
        )
    } | {"label_lag": Line("model:label_lag_seconds_p50:1h", by=MODEL)}
