"""Compare the current model with a candidate on the same rows: four measures, with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from tidegate.service.model.predictions import Classification

MEASURES: Final = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
"""What a person reads for each measure."""
LOWER_IS_BETTER: Final = frozenset({"brier", "calibration_error"})
BINS: Final = 10
RESAMPLES: Final = 400
SEED: Final = 2013

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """One of `MEASURES` of both models, and the 95 % confidence interval of candidate minus current."""

    measure: str
    current: float
    candidate: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`better` or `worse` if the interval excludes 0; `even` if it does not or is not defined."""
        if not (self.low > 0 or self.high < 0):  # NaN compares false
            return "even"
        return "better" if (self.high < 0) == (self.measure in LOWER_IS_BETTER) else "worse"

    def as_json(self) -> dict[str, str | float]:
        """The entry of the manifest, whose keys are part of the artefact's format."""
        return {
            "measure": self.measure,
            "champion": self.current,
            "challenger": self.candidate,
            "low": self.low,
            "high": self.high,
        }


def measure(
    prediction: Classification, truth: npt.NDArray[np.intp], weights: Weights | None = None
) -> dict[str, float]:
    """The four measures of a model; `weights` is the number of times that each row counts.

    AUC is that of the first class, or with more than two classes the mean of each class against the rest. The
    Brier score is the mean square of probability minus truth: of the first class of two, or summed over more.
    The calibration error is the mean difference of confidence and accuracy over bins of equal size.
    """
    counts = np.ones(len(truth)) if weights is None else weights
    probabilities = prediction.probabilities.astype(np.float64)
    correct = (prediction.labels == truth).astype(np.float64)
    return {
        "auc": _auc(probabilities, truth, counts),
        "accuracy": float(np.average(correct, weights=counts)),
        "brier": _brier(probabilities, truth, counts),
        "calibration_error": _calibration_error(
            prediction.confidence.astype(np.float64), correct, counts
        ),
    }


def compare(
    current: Classification,
    candidate: Classification,
    truth: npt.NDArray[np.intp],
    block: npt.NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Measure both models on the same rows, with a paired bootstrap over blocks.

    It resamples whole blocks, because the rows of one day share weather and congestion: resampling single
    rows would make the intervals too narrow (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 8). Both models are measured on the same resample, so rows that are hard for both cancel out.
    `truth` has the index of each row's true class.
    """
    current_values, candidate_values = measure(current, truth), measure(candidate, truth)
    random = np.random.default_rng(SEED)
    _, member = np.unique(block, return_inverse=True)
    count = int(member.max()) + 1
    resampled: list[list[float]] = []
    for _ in range(resamples):
        times = np.bincount(random.integers(count, size=count), minlength=count)
        weights = times[member].astype(np.float64)
        picked = weights > 0
        if len(np.unique(truth[picked])) < current.probabilities.shape[1]:
            continue  # AUC is not defined without rows of each class
        of_candidate, of_current = (
            measure(_select(each, picked), truth[picked], weights[picked])
            for each in (candidate, current)
        )
        resampled.append([of_candidate[name] - of_current[name] for name in MEASURES])
    differences = np.array(resampled) if resampled else np.full((1, len(MEASURES)), np.nan)
    low, high = np.quantile(differences, [0.025, 0.975], axis=0)
    return [
        Difference(
            name, current_values[name], candidate_values[name], float(low[i]), float(high[i])
        )
        for i, name in enumerate(MEASURES)
    ]


def is_better(differences: list[Difference]) -> bool:
    """Whether the Brier score is significantly lower and the AUC not significantly worse.

    The Brier score measures both discrimination and calibration.
    """
    verdicts = {difference.measure: difference.verdict for difference in differences}
    return verdicts["brier"] == "better" and verdicts["auc"] != "worse"


def _select(prediction: Classification, picked: npt.NDArray[np.bool_]) -> Classification:
    return Classification(prediction.labels[picked], prediction.probabilities[picked])


def _auc(probabilities: Any, truth: npt.NDArray[np.intp], weights: Weights) -> float:
    if probabilities.shape[1] == 2:
        return float(roc_auc_score(truth == 0, probabilities[:, 0], sample_weight=weights))
    each = [
        roc_auc_score(truth == position, probabilities[:, position], sample_weight=weights)
        for position in range(probabilities.shape[1])
    ]
    return float(np.mean(each))


def _brier(probabilities: Any, truth: npt.NDArray[np.intp], weights: Weights) -> float:
    true = np.eye(probabilities.shape[1])[truth]
    squares = (probabilities - true) ** 2
    errors = squares[:, 0] if probabilities.shape[1] == 2 else squares.sum(axis=1)
    return float(np.average(errors, weights=weights))


def _calibration_error(confidence: Any, correct: Any, weights: Weights) -> float:
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, confidence, side="right")
    gaps = np.bincount(bins, weights=weights * (confidence - correct))
    return float(np.abs(gaps).sum() / weights.sum())
