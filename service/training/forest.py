"""The flight-delay model: split, fit and score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline

from tidegate.service.model.predictions import Classification
from tidegate.service.training.flights import CLASSES, Flights

TREES: Final = 100
LEAF_ROWS: Final = 20
SEED: Final = 2013
WINDOW_MONTHS: Final = (1, 2)
HELD_OUT_EVERY: Final = 5  # days; it shares no factor with the week's 7

Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Split:
    """The split of the flights."""

    fit: Rows
    held_out: Rows
    """Of the same months."""
    later: Rows
    """Of the following months."""


def split(flights: Flights) -> Split:
    """Hold out every fifth day.

    Flights of one day share weather and congestion: holding out single flights would leak the day into
    training (AUC 0.74; with whole days it is 0.60 to 0.72).
    """
    window = np.isin(flights.month, WINDOW_MONTHS)
    held_out = window & (flights.day % HELD_OUT_EVERY == 0)
    return Split(fit=window & ~held_out, held_out=held_out, later=flights.month > WINDOW_MONTHS[-1])


def fit(flights: Flights, rows: Rows) -> Pipeline:
    """Fit the forest.

    Missing weather is imputed with the median: a forest accepts NaN, but the probabilities of its ONNX
    model then differ by up to 0.30.
    """
    forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF_ROWS, random_state=SEED, n_jobs=-1)
    model = make_pipeline(SimpleImputer(strategy="median"), forest)
    model.fit(flights.matrix[rows], label_names(flights.late[rows]))
    forest.n_jobs = None  # the process that loads it sets its number of cores
    return model


def label_names(late: npt.NDArray[np.bool_]) -> npt.NDArray[np.str_]:
    """The class of each flight."""
    return np.where(late, CLASSES[0], CLASSES[1])


def truth(late: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """The index of each flight's class."""
    return np.where(late, 0, 1).astype(np.intp)


def score(prediction: Classification, late: npt.NDArray[np.bool_]) -> dict[str, float]:
    """AUC, accuracy and Brier score (mean square of probability minus truth) for the late class."""
    probability = prediction.probabilities[:, 0].astype(np.float64)
    return {
        "rows": float(len(late)),
        "late_share": round(float(late.mean()), 4),
        "auc": round(float(roc_auc_score(late, probability)), 4),
        "accuracy": round(float(((prediction.labels == 0) == late).mean()), 4),
        "brier": round(float(((probability - late) ** 2).mean()), 4),
    }
