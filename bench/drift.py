"""The false alarms of drift monitoring, and how soon it detects a shift.

    python -m bench.drift null       # 72 simulated hours without drift: false alarms
    python -m bench.drift shift      # one feature shifts by one standard deviation: minutes until critical

The simulations sample flights of the training window, count them in steps of 15 s as replicas do, and
evaluate at each step what the rules evaluate, vectorized over all steps. They need `tidegate train`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.results import Result, result, save
from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import critical_value, smoothed_ratios
from tidegate.monitoring.counting.reference import Reference, load_reference
from tidegate.service.model.artefact import REFERENCE, load
from tidegate.service.model.features import Matrix
from tidegate.service.training import flights as dataset
from tidegate.service.training import forest
from tidegate.settings import Drift

ARTEFACT = Path("artefacts/flights")
STEP = 15  # seconds between two evaluations
TILE = 300 // STEP
STEPS = {"2m": 120 // STEP, "5m": 300 // STEP, "1h": 3600 // STEP, "1d": 86_400 // STEP}
DRIFT = Drift()
HOLD = int(DRIFT.hold_seconds) // STEP

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingData:
    """The flights of the training window, and their distributions."""

    matrix: Matrix
    reference: Reference
    counter: BinCounter
    names: tuple[str, ...]
    numbers: tuple[int, ...]

    @classmethod
    def read(cls) -> TrainingData:
        """Read the data set and the artefact."""
        artefact = load(ARTEFACT)
        flights = dataset.read_flights()
        rows = forest.split(flights)
        reference = load_reference(ARTEFACT / REFERENCE)
        features = artefact.manifest.features
        return cls(
            matrix=flights.matrix[rows.fit | rows.held_out],
            reference=reference,
            counter=BinCounter(reference.features, [f.categories for f in features]),
            names=tuple(feature.name for feature in features),
            numbers=tuple(i for i, f in enumerate(features) if f.kind != "category"),
        )


@dataclass(frozen=True)
class RuleValues:
    """What the rules record of one distribution at each step, by window: PSI, X² and n."""

    psi: dict[str, npt.NDArray[np.float64]]
    statistic: dict[str, npt.NDArray[np.float64]]
    samples: dict[str, npt.NDArray[np.float64]]
    critical: float

    def drifted(self, window: str, limit: float) -> Flags:
        """The steps at which `model:feature_drift` of the window is above the limit."""
        minimum = DRIFT.fast_samples if window == "2m" else DRIFT.samples
        enough = self.samples[window] >= minimum
        found: Flags = (
            (self.psi[window] > limit) & enough & (self.statistic[window] > self.critical)
        )
        return found

    def any_drifted(self, windows: Sequence[str], limit: float) -> Flags:
        """The steps at which the alert's expression is true."""
        found: Flags = np.logical_or.reduce([self.drifted(window, limit) for window in windows])
        return found


def evaluate(
    bins: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
    count: int,
    reference: Any,
    features: int,
) -> RuleValues:
    """Count rows by step, and evaluate the rules at each.

    Args:
        bins: the bin of each row.
        steps: the step in which each row was answered.
        count: the number of steps.
        reference: the counts of the reference.
        features: the number of distributions that share the probability of a false finding.
    """
    size = len(reference)
    counts = np.bincount(steps * size + bins, minlength=count * size).reshape(count, size)
    total = np.vstack([np.zeros((1, size), np.int64), counts.cumsum(axis=0)])
    expected, m = np.array(smoothed_ratios(reference)), float(sum(reference))
    values = RuleValues({}, {}, {}, critical_value(size, features, DRIFT.significance))
    now = np.arange(1, count + 1)
    for window, length in STEPS.items():
        # The long windows consist of tiles, so they end with the last tile.
        end = now if length <= TILE else now // TILE * TILE
        observed = total[end] - total[np.maximum(0, end - length)]
        n = observed.sum(axis=1).astype(float)
        ratio = (observed + 0.5) / (n[:, None] + size / 2)
        index = ((ratio - expected) * np.log(ratio / expected)).sum(axis=1)
        values.psi[window], values.samples[window] = index, n
        values.statistic[window] = index * n * m / (n + m)
    return values


def episodes(flags: Flags) -> int:
    """How often the alert fires."""
    return int(np.count_nonzero(np.diff(fired(flags).astype(int), prepend=0) == 1))


def fired(flags: Flags) -> Flags:
    """The steps at which the alert fires: its condition has been true for `drift.hold_seconds`."""
    total = np.cumsum(flags)
    at_last_break: npt.NDArray[np.int64] = np.maximum.accumulate(np.where(flags, 0, total))
    found: Flags = np.greater(total - at_last_break, HOLD)
    return found


def draw(
    data: TrainingData, random: np.random.Generator, steps: int, rate: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The rows that arrive, and the step of each: a Poisson process."""
    per_step = random.poisson(rate * STEP, steps)
    rows = random.integers(len(data.matrix), size=int(per_step.sum()))
    return rows, np.repeat(np.arange(steps), per_step)


def null(hours: int, rates: Sequence[float]) -> list[Result]:
    """The false alarms in hours without drift."""
    data = TrainingData.read()
    bins = data.counter.bins(data.matrix)
    reference = [feature.counts for feature in data.reference.features]
    found = []
    for rate in rates:
        random, count = np.random.default_rng(72), hours * 3600 // STEP
        rows, steps = draw(data, random, count, rate)
        seen = [
            evaluate(bins[rows, i], steps, count, reference[i], len(reference))
            for i in range(len(reference))
        ]
        share = np.mean([s.drifted("5m", DRIFT.psi_warning) for s in seen], axis=0)
        shares = np.array(data.reference.predictions) / sum(data.reference.predictions)
        predicted = random.choice(len(shares), size=len(rows), p=shares)
        predictions = evaluate(predicted, steps, count, data.reference.predictions, 1)
        alarms = {
            "warnings of a feature": sum(
                episodes(s.any_drifted(("5m", "1h", "1d"), DRIFT.psi_warning)) for s in seen
            ),
            "critical alerts of a feature": sum(
                episodes(s.any_drifted(tuple(STEPS), DRIFT.psi_critical)) for s in seen
            ),
            "alerts of the data set": episodes(share >= DRIFT.dataset_share),
            "warnings of the predictions": episodes(
                predictions.any_drifted(("5m", "1h", "1d"), DRIFT.psi_warning)
            ),
        }
        plain = sum(
            episodes((s.statistic["5m"] > critical_value(len(c), 1, 0.05)) & (s.samples["5m"] > 0))
            for s, c in zip(seen, reference, strict=True)
        )
        title = f"{hours} hours without drift, {rate:g} requests/s"
        found += [
            result(f"{title}: {name}", [number], unit="alarms", target=0)
            for name, number in alarms.items()
        ]
        found.append(result(f"{title}: of a plain χ² test at 5 %", [plain], unit="alarms"))
    return found


def shift(rates: Sequence[float], seeds: int) -> list[Result]:
    """Minutes until a shift of one feature by one standard deviation is a critical alert."""
    data = TrainingData.read()
    before, count = 3600 // STEP, 2 * 3600 // STEP
    found = []
    for column in data.numbers:
        shifted = data.matrix.copy()
        shifted[:, column] += np.nanstd(shifted[:, column])
        training_bins = data.counter.bins(data.matrix)[:, column]
        shifted_bins = data.counter.bins(shifted)[:, column]
        for rate in rates:
            delays = []
            for seed in range(seeds):
                random = np.random.default_rng(seed)
                rows, steps = draw(data, random, count, rate)
                bins = np.where(steps < before, training_bins[rows], shifted_bins[rows])
                reference = data.reference.features[column].counts
                seen = evaluate(bins, steps, count, reference, len(data.names))
                alert = fired(seen.any_drifted(tuple(STEPS), DRIFT.psi_critical))[before:]
                delays.append((alert.argmax() + 1) * STEP / 60 if alert.any() else math.inf)
            title = f"{data.names[column]} shifts, {rate:g} requests/s: until the alert"
            found.append(result(title, delays, unit="minutes"))
    return found


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["null", "shift"])
    parser.add_argument("--hours", type=int, default=72, help="simulated hours without drift")
    parser.add_argument("--seeds", type=int, default=20, help="shifts of each feature")
    arguments = parser.parse_args()
    if arguments.what != "shift":
        save("drift_null", null(arguments.hours, (3, 10)))
    if arguments.what != "null":
        save("drift_shift", shift((3, 10), arguments.seeds))


if __name__ == "__main__":
    main()
