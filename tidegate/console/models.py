"""What Prometheus knows of models: distributions at training and in a window, shadows, and the quality."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tidegate.console.series import Chart, Line
from tidegate.runtime.prometheus import Prometheus

# The rules of the longer windows run each minute.
LAST: Final = "3m"
WINDOWS: Final = ("5m", "1h", "1d")
MODEL: Final = ("model", "version")
PREDICTIONS: Final = "predictions"
SHADOW: Final = (*MODEL, "shadow")


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


@dataclass(frozen=True, slots=True)
class Shadow:
    """A shadow of a version of a model, and its rows in a window.

    Attributes:
        model: the name of the model.
        version: of the model that answers.
        shadow: its own version.
        agreed: on which it says the same.
        differed: on which it does not.
        full: not scored, as its queue was full.
        failed: not scored, as it raised an error.
    """

    model: str
    version: str
    shadow: str
    agreed: int
    differed: int
    full: int
    failed: int

    @property
    def agreement(self) -> float | None:
        """The fraction of the scored rows on which both say the same; None without rows."""
        rows = self.agreed + self.differed
        return self.agreed / rows if rows else None


async def read_shadows(prometheus: Prometheus, window: str) -> list[Shadow]:
    """Every shadow that a replica has.

    Args:
        prometheus: what it has scraped.
        window: such as `5m`.

    Raises:
        HttpError: Prometheus does not answer.
    """
    counters = '{__name__=~"ml_shadow_(predictions|dropped)_total"}'
    found: dict[tuple[str, str, str], Counter[str]] = {}
    for one in await prometheus.query(
        f"sum by ({', '.join(SHADOW)}, agree, reason) (increase({counters}[{window}]))"
    ):
        model, version, shadow = (one.labels[name] for name in SHADOW)
        rows = found.setdefault((model, version, shadow), Counter())
        kind = one.labels.get("agree") or one.labels.get("reason", "")
        rows[kind] += round(one.samples[-1][1])
    return [
        Shadow(*names, rows["true"], rows["false"], rows["full"], rows["failed"])
        for names, rows in sorted(found.items())
    ]


def quality_charts(window: str) -> list[Chart]:
    """The quality in a window; each line stands for one of each version of a model."""

    def lines(name: str) -> dict[str, Line]:
        kinds = {"measured by labels": "realised", "expected without labels": "expected"}
        return {
            legend: Line(f"model:{name}_{kind}:{window}", by=MODEL)
            for legend, kind in kinds.items()
        }

    lag = {"median of an hour": Line("model:label_lag_seconds_p50:1h", by=MODEL)}
    return [
        Chart(title, each, {"optional": True, **unit})
        for title, each, unit in (
            (f"Accuracy over {window}", lines("accuracy"), {"unit": "%"}),
            (f"Absolute error over {window}", lines("absolute_error"), {}),
            ("From a prediction to its label", lag, {"unit": "s"}),
        )
    ]
