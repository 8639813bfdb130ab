"""The contract between a format of model files and the import: one `FileFormat` a module of `formats`.

A new format is one new module of that package with a `FORMAT`, which `FORMATS` of the package names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.schema_file import ModelSchema
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.signature import Signature

Predictions: TypeAlias = npt.NDArray[np.floating[Any]]
"""Probabilities of shape [rows, classes], or values of shape [rows]."""
Texts: TypeAlias = Mapping[str, Sequence[str | None]]
"""The column of each feature of the kind text, which a matrix cannot have."""
DatatypeOfNumbers: TypeAlias = Literal["FP32", "FP64"]
Class: TypeAlias = str | int


@dataclass(frozen=True, slots=True)
class SourceModel:
    """An opened model file."""

    description: str
    """What it is, such as `Pipeline of StandardScaler, LGBMRegressor`."""
    signature: Signature
    """Its features and answers, as far as the file says."""
    to_onnx: Callable[[Sequence[Feature], DatatypeOfNumbers], bytes]
    """The content of an ONNX file that predicts the same, for the final features, with inputs of a type."""
    predict: Callable[[Sequence[Feature], Matrix, Texts], Predictions] | None
    """What the original predicts for rows of these features; None if the file is already the ONNX model, so
    that there is nothing to compare."""
    datatypes: tuple[DatatypeOfNumbers, ...] = ("FP32",)
    """Those in which its ONNX model may predict the same, the cheapest first."""
    spread: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
    """The mean and the standard deviation of each feature, if it knows them."""
    labels: Callable[[Sequence[Feature], Matrix, Texts], npt.NDArray[np.intp]] | None = None
    """The index of the class that the original predicts, per row, where that is not always the one with the
    largest probability."""
    named: bool = True
    """Whether the file names the features."""
    takes_missing: bool = False
    """Whether the original may accept missing values (NaN). The ONNX model is then compared on rows with
    missing values, too, and if it agrees, requests may have them."""


def class_names(values: Iterable[object]) -> tuple[Class, ...]:
    """Classes as JSON values.

    Raises:
        ArtefactError: one is neither a string nor an integer.
    """
    classes: list[Class] = []
    for value in np.asarray(values).tolist():
        if isinstance(value, str):
            classes.append(value)
        elif isinstance(value, int | float) and value == int(value):
            classes.append(int(value))
        else:
            raise ArtefactError(f"class {value!r} is neither a string nor an integer")
    return tuple(classes)


@dataclass(frozen=True, slots=True)
class Estimators:
    """The estimators of a package, which may be inside a joblib file."""

    package: str
    adopt: Callable[[Any, ModelSchema], SourceModel]
    """Takes an estimator that a joblib file consists of."""
    register: Callable[[], None]
    """Makes skl2onnx convert them inside a pipeline."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A format of model files."""

    title: str
    """The name for people, such as `LightGBM`."""
    suffixes: tuple[str, ...]
    """The suffixes of its files, lower case."""
    accepts: str
    """What it accepts and how to write such a file, as part of a sentence."""
    open: Callable[[Path, ModelSchema], SourceModel]
    """Reads a file; raises ArtefactError."""
    original: str = "model{suffix}"
    """The name of the file's copy in the artefact, with {suffix} for the file's own; empty: none."""
    estimators: Estimators | None = None
    """Those of the format's package."""
