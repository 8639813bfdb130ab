"""Detection delay and false findings of the detectors of a higher error rate.

The error rate of the labels is first 10 %, then 20 %. The delay is the number of labels since the change.
False findings are those in 72 hours of labels with a constant error rate, 3 per second: 777,600 labels for
each seed. The rates are 10 % and that of the flight model on held-out rows, 22.7 %.

    python bench/concept.py --runs 400 --seeds 9
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from river.drift import PageHinkley

from tidegate.monitoring.concept.detectors import DELTA, Adwin, Change, Detector, ZTest
from tidegate.settings import Drift


class Hinkley:
    """Page and Hinkley's test for a rise of the mean (Page, 1954).

    Args:
        threshold: how far the sum of deviations must rise above its minimum.
        delta: the tolerated deviation of each label.
    """

    name = "page-hinkley"

    def __init__(self, threshold: float, delta: float) -> None:
        self._detector: Any = PageHinkley(threshold=threshold, delta=delta, mode="up", alpha=1.0)
        self._count = self._wrong = 0

    @property
    def error_rate(self) -> float:
        """The error rate since the last finding."""
        return self._wrong / self._count if self._count else math.nan

    def update(self, wrong: bool) -> Change | None:
        """Read one outcome."""
        self._detector.update(wrong)
        self._count += 1
        self._wrong += wrong
        if not self._detector.drift_detected:
            return None
        rate, self._count, self._wrong = self.error_rate, 0, 0
        return Change(rate, rate)


BEFORE, AFTER = 0.1, 0.2
LABELS_BEFORE, LABELS_AFTER = 2000, 3000
CONSTANT_RATES = (BEFORE, 0.227)
HOURS, PER_SECOND = 72, 3
STEP = 15  # seconds between two evaluations of a rule
TILE = 300 // STEP
DRIFT = Drift()
MakeDetector = Callable[[float], Detector]  # for an expected error rate


def z_test(limit: float) -> MakeDetector:
    """The z-test with this limit."""
    return lambda expected: ZTest(expected, limit=limit)


def adwin(delta: float) -> MakeDetector:
    """ADWIN with this confidence."""
    return lambda _: Adwin(delta)


DETECTORS: dict[str, MakeDetector] = {
    **{f"z-test, n = 300, z > {z:g}": z_test(z) for z in (4, 4.25, 4.5, 5, 5.5)},
    "ADWIN, δ = 0.002 (river's default)": adwin(0.002),
    **{f"ADWIN, δ = {delta:g}": adwin(delta) for delta in (0.01, 0.02, 0.05)},
    "Page-Hinkley, λ = 50 (river's default), δ = 0.005": lambda _: Hinkley(50, 0.005),
    "Page-Hinkley, λ = 15, δ = 0.03": lambda _: Hinkley(15, 0.03),
    "Page-Hinkley, λ = 20, δ = 0.03": lambda _: Hinkley(20, 0.03),
    "Page-Hinkley, λ = 25, δ = 0.02": lambda _: Hinkley(25, 0.02),
}
IN_USE: dict[str, MakeDetector] = {
    f"z-test, z > {DRIFT.error_z:g}": lambda expected: ZTest(
        expected, limit=DRIFT.error_z, window=DRIFT.outcomes
    ),
    f"ADWIN, δ = {DELTA:g}": lambda _: Adwin(),
}


@dataclass(frozen=True)
class Result:
    """The result of one detector.

    Attributes:
        delays: for each run, labels from the change to its detection; infinite if it was not found.
        early: findings before the change, per run.
        false: false findings, a list for each rate of `CONSTANT_RATES`, a number for each seed.
        microseconds: CPU time per label.
    """

    delays: npt.NDArray[np.float64]
    early: float
    false: list[list[int]]
    microseconds: float


def findings(detector: Detector, labels: list[bool]) -> int:
    """The number of findings."""
    return sum(detector.update(wrong) is not None for wrong in labels)


def constant(rate: float, hours: int, seed: int) -> list[bool]:
    """Labels with a constant error rate: whether each is wrong."""
    count = hours * 3600 * PER_SECOND
    wrong: list[bool] = (np.random.default_rng(seed).random(count) < rate).tolist()
    return wrong


def measure(make: MakeDetector, runs: int, seeds: int) -> Result:
    """Measure one detector; all detectors read the same labels."""
    random = np.random.default_rng(2013)
    delays, early = [], 0
    for _ in range(runs):
        detector = make(BEFORE)
        rates = np.repeat([BEFORE, AFTER], [LABELS_BEFORE, LABELS_AFTER])
        found = np.inf
        for position, wrong in enumerate((random.random(len(rates)) < rates).tolist()):
            if detector.update(wrong) is None:
                continue
            if position < LABELS_BEFORE:
                early += 1
                continue
            found = position - LABELS_BEFORE + 1
            break
        delays.append(found)
    false: list[list[int]] = []
    cpu_seconds, count = 0.0, 0
    for rate in CONSTANT_RATES:
        false.append([])
        for seed in range(seeds):
            labels = constant(rate, HOURS, seed)
            started = time.process_time()
            false[-1].append(findings(make(rate), labels))
            cpu_seconds, count = cpu_seconds + time.process_time() - started, count + len(labels)
    return Result(np.array(delays), early / runs, false, cpu_seconds / max(1, count) * 1e6)


def by_rule(rate: float, hours: int, seed: int) -> int:
    """How often `ModelConceptDrift` begins to fire at a constant error rate."""
    random, count = np.random.default_rng(seed), hours * 3600 // STEP
    labels = random.poisson(PER_SECOND * STEP, count)
    wrong = random.binomial(labels, rate)
    sums = np.vstack([np.zeros((1, 2), np.int64), np.stack([labels, wrong], axis=1).cumsum(axis=0)])
    now, over = np.arange(1, count + 1), np.zeros(count, np.bool_)
    for length in (TILE, 12 * TILE):
        # The hour consists of tiles, so it ends with the last one.
        end = now if length == TILE else now // TILE * TILE
        n, errors = (sums[end] - sums[np.maximum(0, end - length)]).T
        enough = n >= DRIFT.outcomes
        z = (errors / np.maximum(n, 1) - rate) / np.sqrt(rate * (1 - rate) / np.maximum(n, 1))
        over |= enough & (z > DRIFT.error_z)
    return int(np.count_nonzero(np.diff(over.astype(int), prepend=0) == 1))


def false_findings(hours: int, seeds: int) -> None:
    """Print the findings of the thresholds in use at a constant error rate."""
    print(
        "| error rate | "
        + " | ".join(IN_USE)
        + f" | ModelConceptDrift, z > {DRIFT.error_z:g} | all three |"
    )
    print("| ---: |" + " ---: |" * (len(IN_USE) + 2))
    for rate in CONSTANT_RATES:
        counts = [
            [findings(make(rate), constant(rate, hours, seed)) for seed in range(seeds)]
            for make in IN_USE.values()
        ]
        counts.append([by_rule(rate, hours, seed) for seed in range(seeds)])
        counts.append(np.sum(counts, axis=0).tolist())
        print(f"| {100 * rate:g} % | " + " | ".join(spread(each) for each in counts) + " |")


def spread(counts: list[int]) -> str:
    """The median, and all values."""
    return f"{np.median(counts):g} ({', '.join(map(str, sorted(counts)))})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=400, help="runs with a change, for each detector"
    )
    parser.add_argument("--seeds", type=int, default=9, help="runs of 72 hours without a change")
    arguments = parser.parse_args()
    today = dt.datetime.now(dt.UTC).date()
    print(
        f"{today}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores;"
        f" error rate {BEFORE:.0%} → {AFTER:.0%}, {arguments.runs} runs; {HOURS} h without a change,"
        f" {PER_SECOND} labels per second, {arguments.seeds} times\n"
    )
    print(
        "| detector | labels until detection: median | 95th percentile | found within 300"
        + "".join(f" | false at {100 * rate:g} %: median, maximum" for rate in CONSTANT_RATES)
        + " | µs per label |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, make in DETECTORS.items():
        result = measure(make, arguments.runs, arguments.seeds)
        middle, late = np.quantile(result.delays, [0.5, 0.95], method="inverted_cdf")
        within = (result.delays <= 300).mean()
        false = " | ".join(f"{np.median(each):g}, {max(each)}" for each in result.false)
        print(
            f"| {name} | {middle:.0f} | {late:.0f} | {within:.0%} | {false}"
            f" | {result.microseconds:.1f} |",
            flush=True,
        )
    print()
    false_findings(HOURS, arguments.seeds)


if __name__ == "__main__":
    main()
