"""Expected and realised accuracy, on real months in which every PSI is below 0.1.

    python bench/expected.py

With the flight model no real month qualifies: the season shifts its weather features from March on. So the
same forest is fitted in two other ways, and evaluated on real months, whole or in part:

- `calendar`: without the weather features, fitted on January and February as the flight model is, evaluated
  on March to December. Its features do not drift; the fraction of late flights does.
- `halves`: with all features, for each of the twelve months: fitted on a random half of its flights,
  calibrated on a quarter, and evaluated on the last quarter. Nothing drifts.

Expected accuracy is the increase of `ml_expected_correct_total`, calibrated on rows that were not fitted.
Rows are sampled with a seed, so the same command prints the same table.
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

from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.counting.expectation import Expectation
from tidegate.monitoring.counting.reference import Reference
from tidegate.service.artefacts.reference import build_reference, calibrate
from tidegate.service.model.features import Matrix
from tidegate.service.model.predictions import DECIMALS, Classification
from tidegate.service.training import flights as dataset
from tidegate.service.training import forest
from tidegate.service.training.flights import WEATHER, Flights
from tidegate.service.training.forest import Rows
from tidegate.settings import Drift

LIMIT: Final = Drift().psi_warning
TOLERANCE_POINTS: Final = 2.0


@dataclass(frozen=True)
class FittedModel:
    """A fitted model with its reference, as in an artefact."""

    model: Pipeline
    reference: Reference
    counter: BinCounter

    @classmethod
    def fit(cls, flights: Flights, fit: Rows, held_out: Rows) -> FittedModel:
        """Fit on some rows, calibrate on others."""
        model = forest.fit(flights, fit)
        found = predict(model, flights.matrix[held_out])
        curve = calibrate(found, forest.truth(flights.late[held_out]))
        predictions = np.bincount(found.labels, minlength=2).tolist()
        matrix = flights.matrix[fit | held_out]
        reference = build_reference(flights.features, matrix, curve, predictions)
        categories = [feature.categories for feature in flights.features]
        return cls(model, reference, BinCounter(reference.features, categories))

    def drift(self, matrix: Matrix, labels: Classification) -> tuple[str, float]:
        """The distribution with the largest PSI, a feature's or the predictions', and that PSI."""
        bins = self.counter.bins(matrix)
        found = {
            feature.name: psi(
                np.bincount(bins[:, at], minlength=len(feature.counts)), feature.counts
            )
            for at, feature in enumerate(self.reference.features)
        }
        predictions = np.bincount(labels.labels, minlength=2)
        found["predictions"] = psi(predictions, self.reference.predictions)
        return max(found.items(), key=lambda one: one[1])


@dataclass(frozen=True)
class Evaluation:
    """The expected and the realised accuracy on one real month, or on a part of it."""

    split: str
    month: str
    rows: int
    drifted: str
    psi: float
    expected: float
    realised: float
    late: float

    @property
    def points(self) -> float:
        """Expected minus realised accuracy, in percentage points."""
        return 100 * (self.expected - self.realised)

    def __str__(self) -> str:
        """A row of the table."""
        return (
            f"| {self.split} | {self.month} | {self.rows:,} | {self.drifted} {self.psi:.3f} "
            f"| {self.late:.1%} | {self.expected:.1%} | {self.realised:.1%} | {self.points:+.1f} |"
        )


def predict(model: Pipeline, matrix: Matrix) -> Classification:
    """The predictions, as of the ONNX model: the first class at a tie."""
    probabilities = model.predict_proba(matrix).astype(np.float32)
    return Classification(probabilities.round(DECIMALS).argmax(axis=1), probabilities)


def evaluate(
    split: str, month: int, fitted: FittedModel, flights: Flights, rows: Rows
) -> Evaluation:
    """Evaluate the model on some rows of a month."""
    matrix, late = flights.matrix[rows], flights.late[rows]
    found = predict(fitted.model, matrix)
    curve = fitted.reference.calibration
    assert curve is not None
    return Evaluation(
        split,
        month_abbr[month],
        int(rows.sum()),
        *fitted.drift(matrix, found),
        Expectation.of_confidence(curve).sum(found.confidence) / int(rows.sum()),
        float(((found.labels == 0) == late).mean()),
        float(late.mean()),
    )


def calendar(flights: Flights) -> Iterator[Evaluation]:
    """A model without seasonal features, fitted on January and February; evaluated on later months."""
    columns = [at for at, feature in enumerate(flights.features) if feature.name not in WEATHER]
    features = tuple(flights.features[at] for at in columns)
    plain = replace(
        flights, features=features, matrix=np.ascontiguousarray(flights.matrix[:, columns])
    )
    split = forest.split(plain)
    fitted = FittedModel.fit(plain, split.fit, split.held_out)
    for month in range(forest.WINDOW_MONTHS[-1] + 1, 13):
        yield evaluate("calendar", month, fitted, plain, plain.month == month)


def halves(flights: Flights, seed: int) -> Iterator[Evaluation]:
    """The flight model, fitted and evaluated within each month."""
    uniform = np.random.default_rng(seed).random(len(flights.late))
    for month in range(1, 13):
        of = flights.month == month
        fitted = FittedModel.fit(
            flights, of & (uniform < 0.5), of & (uniform >= 0.5) & (uniform < 0.75)
        )
        yield evaluate("halves", month, fitted, flights, of & (uniform >= 0.75))


def main() -> None:
    """Print both tables, and in how many of the qualifying months expected accuracy was close."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random halves")
    seed = parser.parse_args().seed
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, seed {seed}\n"
    )
    flights = dataset.read_flights()
    print(
        "| split | month | rows | largest PSI | late | expected accuracy | accuracy | difference (points) |"
    )
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |")
    evaluations: list[Evaluation] = []
    for each in (*calendar(flights), *halves(flights, seed)):
        print(each)
        evaluations.append(each)
    for split in ("calendar", "halves"):
        found = [each for each in evaluations if each.split == split and each.psi < LIMIT]
        close = [each for each in found if abs(each.points) <= TOLERANCE_POINTS]
        largest = max(abs(each.points) for each in found)
        print(
            f"\n{split}: in {len(found)} months every PSI is below {LIMIT}; expected accuracy is within "
            f"{TOLERANCE_POINTS:g} percentage points in {len(close)} of them, and at most {largest:.1f} off"
        )


if __name__ == "__main__":
    main()
