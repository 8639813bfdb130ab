"""Expected accuracy against realised accuracy, on real months in which every PSI is below 0.1.

    python bench/expected.py

With the flight model no real month qualifies: the season moves its weather features from March on. So the
same forest is fitted in two other ways, and asked about real months, whole or in part:

- `calendar`: without the weather features, on January and February as the flight model is, and asked about
  March to December. Nothing that it sees drifts; what becomes of the flights does.
- `halves`: with all features, on a random half of the flights of one month, calibrated on a quarter, and
  asked about the last quarter: for each of the twelve months. Nothing changes at all.

Expected accuracy is what `ml_expected_correct_total` would grow by: calibrated on rows that were not fitted.
Rows are drawn by a seed; the same command gives the same table.
"""

from __future__ import annotations

import argparse
import os
import platform
from calendar import month_abbr
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from sklearn.pipeline import Pipeline

from tidegate.drift.counting.bin_counter import BinCounter
from tidegate.drift.counting.confidence import Expectation
from tidegate.drift.counting.psi import psi
from tidegate.drift.counting.reference import Reference
from tidegate.service.artefacts.reference import build_reference, calibrate
from tidegate.service.model.features import Matrix
from tidegate.service.model.predictor import DECIMALS, Prediction
from tidegate.service.training import flights as dataset
from tidegate.service.training import forest
from tidegate.service.training.flights import WEATHER, Flights
from tidegate.service.training.forest import Rows
from tidegate.settings import Drift

LIMIT: Final = Drift().psi_warning
POINTS: Final = 2.0


@dataclass(frozen=True)
class Watched:
    """A fitted model with its reference, as an artefact has them."""

    model: Pipeline
    reference: Reference
    counter: BinCounter

    @classmethod
    def of(cls, flights: Flights, fit: Rows, held_out: Rows) -> Watched:
        """Fit on some rows, calibrate on others."""
        model = forest.fit(flights, fit)
        found = answer(model, flights.matrix[held_out])
        curve = calibrate(found, forest.truth(flights.late[held_out]))
        given = np.bincount(found.labels, minlength=2).tolist()
        matrix = flights.matrix[fit | held_out]
        reference = build_reference(flights.features, matrix, curve, given)
        categories = [feature.categories for feature in flights.features]
        return cls(model, reference, BinCounter(reference.features, categories))

    def drift(self, matrix: Matrix, labels: Prediction) -> tuple[str, float]:
        """What has drifted most, a feature or the answers, and its PSI."""
        bins = self.counter.bins(matrix)
        found = {
            feature.name: psi(
                np.bincount(bins[:, at], minlength=len(feature.counts)), feature.counts
            )
            for at, feature in enumerate(self.reference.features)
        }
        given = np.bincount(labels.labels, minlength=2)
        found["the answers"] = psi(given, self.reference.predictions)
        return max(found.items(), key=lambda one: one[1])


@dataclass(frozen=True)
class Line:
    """One real month, or a part of it, and what was expected of it."""

    split: str
    month: str
    rows: int
    drifted: str
    psi: float
    expected: float
    right: float
    late: float

    @property
    def points(self) -> float:
        """How far expected accuracy was off."""
        return 100 * (self.expected - self.right)

    def __str__(self) -> str:
        """As a row of the table."""
        return (
            f"| {self.split} | {self.month} | {self.rows:,} | {self.drifted} {self.psi:.3f} "
            f"| {self.late:.1%} | {self.expected:.1%} | {self.right:.1%} | {self.points:+.1f} |"
        )


def answer(model: Pipeline, matrix: Matrix) -> Prediction:
    """What the model says, as its ONNX form would: the first class at a tie."""
    probabilities = model.predict_proba(matrix).astype(np.float32)
    return Prediction(probabilities.round(DECIMALS).argmax(axis=1), probabilities)


def line(split: str, month: int, watched: Watched, flights: Flights, rows: Rows) -> Line:
    """Ask about some rows of a month."""
    matrix, late = flights.matrix[rows], flights.late[rows]
    found = answer(watched.model, matrix)
    curve = watched.reference.calibration
    assert curve is not None
    return Line(
        split,
        month_abbr[month],
        int(rows.sum()),
        *watched.drift(matrix, found),
        Expectation(curve).correct(found.confidence) / int(rows.sum()),
        float(((found.labels == 0) == late).mean()),
        float(late.mean()),
    )


def calendar(flights: Flights) -> Iterator[Line]:
    """A model of nothing that has a season, from January and February; then the months after."""
    kept = [at for at, feature in enumerate(flights.features) if feature.name not in WEATHER]
    features = tuple(flights.features[at] for at in kept)
    plain = replace(
        flights, features=features, matrix=np.ascontiguousarray(flights.matrix[:, kept])
    )
    split = forest.split(plain)
    watched = Watched.of(plain, split.fit, split.held_out)
    for month in range(forest.WINDOW_MONTHS[-1] + 1, 13):
        yield line("calendar", month, watched, plain, plain.month == month)


def halves(flights: Flights, seed: int) -> Iterator[Line]:
    """The flight model, fitted and asked within one month, for each of them."""
    drawn = np.random.default_rng(seed).random(len(flights.late))
    for month in range(1, 13):
        of = flights.month == month
        watched = Watched.of(flights, of & (drawn < 0.5), of & (drawn >= 0.5) & (drawn < 0.75))
        yield line("halves", month, watched, flights, of & (drawn >= 0.75))


def main() -> None:
    """Print both tables, and how many of the months that qualify came true."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the halves")
    seed = parser.parse_args().seed
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, seed {seed}\n"
    )
    flights = dataset.read_flights()
    print("| split | month | rows | PSI, the largest | late | expected | right | points |")
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |")
    lines: list[Line] = []
    for each in (*calendar(flights), *halves(flights, seed)):
        print(each)
        lines.append(each)
    for split in ("calendar", "halves"):
        found = [each for each in lines if each.split == split and each.psi < LIMIT]
        close = [each for each in found if abs(each.points) <= POINTS]
        far = max(abs(each.points) for each in found)
        print(
            f"\n{split}: in {len(found)} months every PSI is below {LIMIT}; expected accuracy is within "
            f"{POINTS:g} points in {len(close)} of them, and {far:.1f} off at most"
        )


if __name__ == "__main__":
    main()
