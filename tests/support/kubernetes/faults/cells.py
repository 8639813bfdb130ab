"""The faults, the rows of the matrix, and what one of them does to the replicas of each column."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from support.kubernetes.faults.arrangement import Arrangement
from support.kubernetes.faults.columns import COLUMNS, HPA, Column
from support.kubernetes.faults.prometheus import ADAPTER
from support.kubernetes.faults.trace import Sample

AFTER_SECONDS: Final = 10.0
# A rate over a minute is wrong for a minute after a gap, which is not to count for the next fault.
AFTER_GAP_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Fault:
    """One fault, for all columns at the same time; it concerns those that use what is faulty.

    A harmful one may take no replica. Otherwise it is a true fall of the load, and replicas must leave. Its
    effect is complete after `least_seconds`; after its end the columns are observed for `after_seconds`.
    """

    key: str
    title: str
    begin: Callable[[Arrangement], None]
    end: Callable[[Arrangement], None]
    concerns: frozenset[str] = frozenset(one.key for one in COLUMNS)
    harmful: bool = True
    least_seconds: float = 0.0
    after_seconds: float = AFTER_SECONDS

    def seconds(self, usual: float) -> float:
        """Its duration."""
        return max(usual, self.least_seconds)


@dataclass(frozen=True)
class Cell:
    """What one fault did to one column."""

    fault: str  # its key
    column: str  # its key
    concerned: bool  # whether the column uses what was faulty
    before: int  # the number of replicas before it
    lowest: int  # the lowest number from then on, also some time after its end
    highest: int  # the highest number in that time
    # From the beginning of the fault until the first replica was taken; None if none was.
    first_seconds: float | None
    lowest_seconds: float | None  # until the lowest number was set; None if none was taken
    after: int

    @property
    def held(self) -> bool:
        """Whether no replica was taken."""
        return self.lowest >= self.before


def _shows(what: str) -> Callable[[Arrangement], None]:
    return lambda arrangement: arrangement.show(what)


def _kill(*names: str) -> Callable[[Arrangement], None]:
    return lambda arrangement: arrangement.kill(*_existing(arrangement, names))


def _restart(*names: str) -> Callable[[Arrangement], None]:
    return lambda arrangement: arrangement.restart(*_existing(arrangement, names))


def _existing(arrangement: Arrangement, names: Iterable[str]) -> list[str]:
    """Those of the columns that run."""
    keys = {one.key for one in COLUMNS} - {one.key for one in arrangement.columns}
    if HPA not in arrangement.columns:
        names = [name for name in names if name != ADAPTER]
    return [name for name in names if not any(name.endswith(f"-{key}") for key in keys)]


def _stop_scraping(arrangement: Arrangement) -> None:
    arrangement.kill("prometheus")
    arrangement.prometheus.start(scrapes=False)


def _scrape(arrangement: Arrangement) -> None:
    arrangement.kill("prometheus")
    arrangement.prometheus.start()


def _return_api_server(arrangement: Arrangement) -> None:
    arrangement.restart("kube-apiserver")
    arrangement.plane.wait_until_ready()


DECIDING: Final = tuple(one for one in COLUMNS if one.decides)
AUTOSCALERS: Final = tuple(one.autoscaler for one in DECIDING)
RESIZERS: Final = tuple(one.resizer for one in COLUMNS if one.mode == "resizer")
ON_KEDA: Final = frozenset(one.key for one in COLUMNS if one.keda)

_gap: Final = partial(Fault, after_seconds=AFTER_GAP_SECONDS)

FAULTS: Final = (
    _gap("nan", "signal NaN", _shows("nan"), _shows("load")),
    _gap("empty", "signal empty", _shows("empty"), _shows("load")),
    _gap("stale", "signal stale: Prometheus scrapes nothing", _stop_scraping, _scrape),
    # A rate over a minute falls for a minute, while the counters do not grow.
    _gap("frozen", "signal frozen", _shows("frozen"), _shows("load"), least_seconds=90.0),
    _gap("prometheus", "Prometheus away", _kill("prometheus"), _scrape),
    Fault(
        "adapter",
        "metrics adapter away",
        _kill("keda-adapter", ADAPTER),
        _restart("keda-adapter", ADAPTER),
        ON_KEDA | {HPA.key},
    ),
    Fault(
        "operator",
        "KEDA's operator away",
        _kill("keda-operator"),
        _restart("keda-operator"),
        ON_KEDA,
    ),
    Fault(
        "autoscaler",
        "autoscaler (the scaler of a) killed",
        _kill(*AUTOSCALERS),
        _restart(*AUTOSCALERS),
        frozenset(one.key for one in DECIDING),
    ),
    Fault(
        "hung",
        "autoscaler (the scaler of a) hung",
        lambda arrangement: arrangement.freeze(*_existing(arrangement, AUTOSCALERS)),
        lambda arrangement: arrangement.thaw(*_existing(arrangement, AUTOSCALERS)),
        frozenset(one.key for one in DECIDING),
        # Longer than the chart's cooldownPeriod of 120 s, after which KEDA may go to zero.
        least_seconds=180.0,
    ),
    Fault(
        "resizer",
        "resizer away",
        _kill(*RESIZERS),
        _restart(*RESIZERS),
        frozenset(one.key for one in COLUMNS if one.mode == "resizer"),
    ),
    Fault("api", "API server away", _kill("kube-apiserver"), _return_api_server),
    Fault(
        "low",
        "no fault: the load falls to a twentieth",
        _shows("low"),
        _shows("load"),
        harmful=False,
        least_seconds=45.0,
    ),
)


def inject(
    arrangement: Arrangement, fault: Fault, seconds: float, *, after: float | None = None
) -> list[Cell]:
    """Inject a fault for some seconds, and observe every column, for some time after its end, too."""
    arrangement.wait_until_steady()
    trace = arrangement.trace
    before = {one.key: trace.now(one.key) for one in arrangement.columns}
    begun = time.monotonic()
    fault.begin(arrangement)
    _wait_until(begun + seconds)
    fault.end(arrangement)
    _wait_until(time.monotonic() + (fault.after_seconds if after is None else after))
    return [
        _cell(fault, one, [Sample(begun, before[one.key]), *trace.since(one.key, begun)])
        for one in arrangement.columns
    ]


def _cell(fault: Fault, column: Column, samples: list[Sample]) -> Cell:
    """The cell of these numbers, of which the first is the one at the beginning of the fault."""
    begun, before = samples[0].at, samples[0].replicas
    numbers = [one.replicas for one in samples]
    lowest = min(numbers)
    taken = [one for one in samples if one.replicas < before]
    deepest = [one for one in taken if one.replicas == lowest]
    return Cell(
        fault=fault.key,
        column=column.key,
        concerned=column.key in fault.concerns,
        before=before,
        lowest=lowest,
        highest=max(numbers),
        first_seconds=round(taken[0].at - begun, 1) if taken else None,
        lowest_seconds=round(deepest[0].at - begun, 1) if deepest else None,
        after=numbers[-1],
    )


def _wait_until(at: float) -> None:
    while (left := at - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
