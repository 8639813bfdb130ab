"""Champion against challenger on the same rows: four figures each, and how sure their difference is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from tidegate.service.model.predictor import Prediction

MEASURES: Final = ("auc", "accuracy", "brier", "calibration_error")
LOWER_IS_BETTER: Final = frozenset({"brier", "calibration_error"})
BINS: Final = 10
RESAMPLES: Final = 400
SEED: Final = 2013
TWO: Final = 2

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of both; `low` to `high` is the 95 % interval of challenger minus champion."""

    measure: str
    champion: float
    challenger: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `even`: what the whole interval says of the challenger."""
        if not (self.low > 0 or self.high < 0):  # nor if it could not be told
            return "even"
        return "better" if (self.high < 0) == (self.measure in LOWER_IS_BETTER) else "worse"


def measure(
    prediction: Prediction, truth: npt.NDArray[np.intp], weights: Weights | None = None
) -> dict[str, float]:
    """The four measures, each row counted `weights` times.

    AUC is of the first class, or each class against the rest where there are more than two. The Brier
    score is the mean square of probability minus truth, of the first class of two, or summed over more. The
    calibration error is the mean distance of confidence and accuracy over bins of equally many confidences.
    """
    of = np.ones(len(truth)) if weights is None else weights
    probabilities = prediction.probabilities.astype(np.float64)
    right = (prediction.labels == truth).astype(np.float64)
    return {
        "auc": _auc(probabilities, truth, of),
        "accuracy": float(np.average(right, weights=of)),
        "brier": _brier(probabilities, truth, of),
        "calibration_error": _calibration_error(
            prediction.confidence.astype(np.float64), right, of
        ),
    }


def compare(
    champion: Prediction,
    challenger: Prediction,
    truth: npt.NDArray[np.intp],
    block: npt.NDArray[np.int64],
    *,
    resamples: int = RESAMPLES,
) -> list[Difference]:
    """Both measured on the same rows, with a paired bootstrap over blocks.

    Whole blocks are drawn, as rows of one day share its weather and its jams: drawn one by one they would
    seem to be more evidence than they are (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 8). Both models get the same draw, so what is hard for both cancels out.

    Args:
        champion: its answers.
        challenger: its answers.
        truth: the true classes' positions.
        block: which block each row is in.
        resamples: how many draws.
    """
    base = (measure(champion, truth), measure(challenger, truth))
    random = np.random.default_rng(SEED)
    _, member = np.unique(block, return_inverse=True)
    count = int(member.max()) + 1
    drawn: list[list[float]] = []
    for _ in range(resamples):
        times = np.bincount(random.integers(count, size=count), minlength=count)
        weights = times[member].astype(np.float64)
        picked = weights > 0
        if len(np.unique(truth[picked])) < champion.probabilities.shape[1]:
            continue  # a draw without one of the classes has no AUC
        ours, theirs = (
            measure(_some(each, picked), truth[picked], weights[picked])
            for each in (challenger, champion)
        )
        drawn.append([ours[name] - theirs[name] for name in MEASURES])
    spread = np.array(drawn) if drawn else np.full((1, len(MEASURES)), np.nan)
    low, high = np.quantile(spread, [0.025, 0.975], axis=0)
    return [
        Difference(name, base[0][name], base[1][name], float(low[i]), float(high[i]))
        for i, name in enumerate(MEASURES)
    ]


def is_better(differences: list[Difference]) -> bool:
    """Whether the challenger is to be taken: its Brier score surely lower, its AUC not surely worse.

    The Brier score knows both, whether it ranks well and whether its probabilities are true.
    """
    verdicts = {one.measure: one.verdict for one in differences}
    return verdicts["brier"] == "better" and verdicts["auc"] != "worse"


def _some(prediction: Prediction, picked: npt.NDArray[np.bool_]) -> Prediction:
    return Prediction(prediction.labels[picked], prediction.probabilities[picked])


def _auc(probabilities: Any, truth: npt.NDArray[np.intp], weights: Weights) -> float:
    if probabilities.shape[1] == TWO:
        return float(roc_auc_score(truth == 0, probabilities[:, 0], sample_weight=weights))
    each = [
        roc_auc_score(truth == place, probabilities[:, place], sample_weight=weights)
        for place in range(probabilities.shape[1])
    ]
    return float(np.mean(each))


def _brier(probabilities: Any, truth: npt.NDArray[np.intp], weights: Weights) -> float:
    true = np.eye(probabilities.shape[1])[truth]
    squares = (probabilities - true) ** 2
    errors = squares[:, 0] if probabilities.shape[1] == TWO else squares.sum(axis=1)
    return float(np.average(errors, weights=weights))


def _calibration_error(confidence: Any, right: Any, weights: Weights) -> float:
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, confidence, side="right")
    gaps = np.bincount(bins, weights=weights * (confidence - right))
    return float(np.abs(gaps).sum() / weights.sum())
