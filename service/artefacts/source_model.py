"""The contract between a format of model files and the import: one `FileFormat` a module of `formats`.

A new format is one new module of that package with a `FORMAT`; nothing else names it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.model.features import Feature
from tidegate.service.model.signature import Signature

Predictions: TypeAlias = npt.NDArray[np.floating[Any]]
"""Probabilities of shape [rows, classes], or values of shape [rows]."""


@dataclass(frozen=True, slots=True)
class SourceModel:
    """An opened model file.

    Attributes:
        description: what it is, such as `Pipeline of StandardScaler, LGBMRegressor`.
        signature: its features and answers, as far as the file says.
        to_onnx: the content of an ONNX file that predicts the same, for the final features.
        predict: what the original predicts for rows of these features; None if the file is already the
            ONNX model, so that there is nothing to compare.
        labels: the index of the class that the original predicts, per row, where that is not always the
            one with the largest probability.
        spread: the mean and the standard deviation of each feature, if it knows them.
        named: whether the file names the features.
        takes_missing: whether the original may accept missing values (NaN). The ONNX model is then compared
            on rows with missing values, too, and if it agrees, requests may have them.
    """

    description: str
    signature: Signature
    to_onnx: Callable[[Sequence[Feature]], bytes]
    predict: Callable[[Sequence[Feature], Any], Predictions] | None
    spread: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
    labels: Callable[[Sequence[Feature], Any], npt.NDArray[np.intp]] | None = None
    named: bool = True
    takes_missing: bool = False


@dataclass(frozen=True, slots=True)
class Estimators:
    """The estimators of a package, which may be inside a joblib file.

    Attributes:
        package: the package.
        adopt: takes an estimator that a joblib file consists of.
        register: makes skl2onnx convert them inside a pipeline.
    """

    package: str
    adopt: Callable[[Any, ModelSchema], SourceModel]
    register: Callable[[], None]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of model files.

    Attributes:
        title: the name for people, such as `LightGBM`.
        suffixes: the suffixes of its files, lower case.
        signatures: what its files start with, to recognise one with another suffix.
        accepts: what it accepts and how to write such a file, as part of a sentence.
        open: reads a file; raises ImportModelError.
        original: the name of the file's copy in the artefact, with {suffix} for the file's own; empty: none.
        estimators: those of the format's package.
    """

    title: str
    suffixes: tuple[str, ...]
    signatures: tuple[bytes, ...]
    accepts: str
    open: Callable[[Path, ModelSchema], SourceModel]
    original: str = "model{suffix}"
    estimators: Estimators | None = None
