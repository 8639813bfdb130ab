"""How soon a higher error rate is found, label by label, and how often one is found that is none.

Labels come with an error rate of 10 % for a while, then 20 %. The delay counts from the first label of the
higher rate; the false alarms are those in labels of one and the same rate.

    python bench/concept.py --runs 400
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

from tidegate.drift.detect import Adwin, Change, Detector, ZTest


class Hinkley:
    """Page and Hinkley's test for a rise of the mean (Page, 1954).

    Args:
        threshold: how far the sum of deviations must rise above its lowest point.
        delta: the deviation that is let pass at each label.
    """

    name = "page-hinkley"

    def __init__(self, threshold: float, delta: float) -> None:
        self._of: Any = PageHinkley(threshold=threshold, delta=delta, mode="up", alpha=1.0)
        self._count = self._wrong = 0

    @property
    def error_rate(self) -> float:
        """Since its last finding."""
        return self._wrong / self._count if self._count else math.nan

    def update(self, wrong: bool) -> Change | None:
        """Take in one outcome."""
        self._of.update(wrong)
        self._count += 1
        self._wrong += wrong
        if not self._of.drift_detected:
            return None
        rate, self._count, self._wrong = self.error_rate, 0, 0
        return Change(rate, rate)


BEFORE, AFTER = 0.1, 0.2
QUIET, LOUD = 2000, 3000
NULL = 20_000
DETECTORS: dict[str, Callable[[], Detector]] = {
    "z-test, n = 300, z > 4": lambda: ZTest(BEFORE),
    "ADWIN, δ = 0.002 (river's default)": lambda: Adwin(0.002),
    "ADWIN, δ = 0.05": Adwin,
    "Page-Hinkley, λ = 50 (river's default), δ = 0.005": lambda: Hinkley(50, 0.005),
    "Page-Hinkley, λ = 15, δ = 0.03": lambda: Hinkley(15, 0.03),
    "Page-Hinkley, λ = 20, δ = 0.03": lambda: Hinkley(20, 0.03),
    "Page-Hinkley, λ = 25, δ = 0.02": lambda: Hinkley(25, 0.02),
}


@dataclass(frozen=True)
class Result:
    """What one detector did.

    Attributes:
        delays: labels from the change to its finding, a run each; infinite if it was not found.
        early: share of runs in which something was found before the change.
        false_alarms: findings in 10,000 labels without any change.
        microseconds: CPU time of a label.
    """

    delays: npt.NDArray[np.float64]
    early: float
    false_alarms: float
    microseconds: float


def measure(make: Callable[[], Detector], runs: int) -> Result:
    """Try one detector on the same labels as every other."""
    random = np.random.default_rng(2013)
    delays, early = [], 0
    for _ in range(runs):
        detector = make()
        rates = np.repeat([BEFORE, AFTER], [QUIET, LOUD])
        found = np.inf
        for place, wrong in enumerate((random.random(len(rates)) < rates).tolist()):
            if detector.update(wrong) is None:
                continue
            if place < QUIET:
                early += 1
                continue
            found = place - QUIET + 1
            break
        delays.append(found)
    alarms, started, labels = 0, time.process_time(), 0
    for _ in range(max(1, runs // 20)):
        detector = make()
        for wrong in (random.random(NULL) < BEFORE).tolist():
            alarms += detector.update(wrong) is not None
        labels += NULL
    spent = (time.process_time() - started) / labels * 1e6
    return Result(np.array(delays), early / runs, alarms / labels * 1e4, spent)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="changes that each must find")
    runs = parser.parse_args().runs
    today = dt.datetime.now(dt.UTC).date()
    print(
        f"{today}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores;"
        f" error rate {BEFORE:.0%} → {AFTER:.0%}, {runs} runs\n"
    )
    print(
        "| detector | labels until found: median | 95th percentile | found within 300"
        " | false alarms in 10,000 labels | µs a label |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, make in DETECTORS.items():
        got = measure(make, runs)
        middle, late = np.quantile(got.delays, [0.5, 0.95], method="inverted_cdf")
        within = (got.delays <= 300).mean()
        print(
            f"| {name} | {middle:.0f} | {late:.0f} | {within:.0%} | {got.false_alarms:.2f}"
            f" | {got.microseconds:.1f} |"
        )


if __name__ == "__main__":
    main()
