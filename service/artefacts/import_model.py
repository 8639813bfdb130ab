"""`tidegate import-model FILE OUT`: convert a classifier saved by joblib into an artefact folder.

A joblib file is a pickle: loading one runs the code in it. Import only files that you trust.
"""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import pandas as pd
from sklearn.exceptions import InconsistentVersionWarning

from tidegate.os_errors import os_error_message
from tidegate.service.artefacts.import_cache import import_digest, rows_file
from tidegate.service.artefacts.onnx_export import ExportError, classes_of, export
from tidegate.service.artefacts.provenance import versions, write_samples
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model import artefact
from tidegate.service.model.features import Feature, Matrix, Schema
from tidegate.service.model.onnx_predictor import open_graph
from tidegate.service.model.signature import Signature
from tidegate.service.request_errors import RequestError

PROBE_ROWS: Final = 500
TOLERATED_FRACTION: Final = 0.01
"""Fraction of synthetic rows whose prediction may differ: they can lie outside the range of real rows."""


class ImportModelError(Exception):
    """The file cannot be served as a classifier; the text gives the reason and the remedy."""


def import_model(file: Path, out: Path) -> artefact.Manifest:
    """Convert a classifier, compare both models, and write the artefact folder.

    The rows of the comparison come from the CSV file of the same name in its folder. Without one they are
    synthetic. A drift reference needs real rows.

    Args:
        file: a scikit-learn classifier or pipeline with `predict_proba`, written by joblib.
        out: the artefact folder.

    Raises:
        ImportModelError: it cannot be loaded, or the rows do not fit its features.
        ExportError: it cannot be converted, or the ONNX model predicts differently.
    """
    with artefact.locked(out):
        if out.is_dir():  # another replica has converted it
            return artefact.load(out).manifest
        classifier = _load(file)
        classes = classes_of(classifier)
        names = feature_names(classifier)
        categories = dict(learned_categories(classifier))
        rows = rows_file(file)
        features = [_feature(name, categories) for name in names]
        if rows.is_file():
            table = _read_rows(rows, names)
            features = [_with_range(feature, table[feature.name]) for feature in features]
            matrix = _encode(features, table, rows)
            probe, tolerated = matrix, 0.0
        else:
            matrix = None
            probe, tolerated = synthetic_rows(classifier, features), TOLERATED_FRACTION
        features = [_with_example(feature, probe, i) for i, feature in enumerate(features)]
        columns = takes_named_columns(classifier)
        graph, parity = export(
            classifier, features, probe, columns=columns, tolerated_fraction=tolerated
        )
        with artefact.staged(out) as folder:
            (folder / artefact.MODEL).write_bytes(file.read_bytes())
            (folder / artefact.ONNX).write_bytes(graph)
            reference = build_reference(
                features,
                probe[:0] if matrix is None else matrix,
                predictions=[]
                if matrix is None
                else _prediction_counts(graph, features, matrix, columns, classes),
            )
            text = reference.model_dump_json() + "\n"
            (folder / artefact.REFERENCE).write_text(text, encoding="utf-8")
            write_samples(folder, tuple(features), probe[:PROBE_ROWS])
            return artefact.write_manifest(
                folder,
                name=re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "model",
                description=f"{type(classifier).__name__} from {file.name}",
                input="columns" if columns else "matrix",
                features=tuple(features),
                classes=classes,
                inputs=import_digest(file),
                trained={"adopted_at": datetime.now(UTC).isoformat(timespec="seconds")},
                parity=parity.as_json() | {"real_rows": matrix is not None},
                versions=versions(),
            )


def _prediction_counts(
    graph: bytes,
    features: Sequence[Feature],
    matrix: Matrix,
    columns: bool,
    classes: Sequence[str | int],
) -> list[int]:
    """The number of rows predicted as each class."""
    signature = Signature(
        input="columns" if columns else "matrix", features=tuple(features), classes=tuple(classes)
    )
    labels = open_graph(graph, signature).predict(matrix).labels
    return [int(count) for count in np.bincount(labels, minlength=len(classes))]


def feature_names(classifier: Any) -> list[str]:
    """Its feature names, or f0, f1, … if it was fitted without names.

    Raises:
        ImportModelError: it does not state its number of features.
    """
    named = getattr(classifier, "feature_names_in_", None)
    if named is not None:
        return [str(name) for name in named]
    count = getattr(classifier, "n_features_in_", None)
    if count is None:
        raise ImportModelError(f"{type(classifier).__name__} does not state its number of features")
    return [f"f{i}" for i in range(count)]


def parts_of(model: Any) -> Iterator[Any]:
    """A model and all fitted estimators in it: pipeline steps, transformers, ensemble members."""
    yield model
    candidates: list[Any] = []
    for attribute in ("steps", "transformers_", "estimators_", "calibrated_classifiers_"):
        candidates += list(np.ravel(np.array(getattr(model, attribute, []), dtype=object)))
    candidates += [
        getattr(model, name, None) for name in ("estimator", "estimator_", "best_estimator_")
    ]
    for part in candidates:
        if hasattr(part, "get_params"):
            yield from parts_of(part)


def takes_named_columns(classifier: Any) -> bool:
    """Whether it selects columns by name, so that it needs a table instead of a matrix."""
    return any(
        isinstance(column, str)
        for part in parts_of(classifier)
        for _, _, columns in getattr(part, "transformers_", [])
        if not isinstance(columns, slice)
        for column in np.ravel(columns)
    )


def learned_categories(classifier: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The categories that its encoders learned, by column name."""
    for part in parts_of(classifier):
        for _, transformer, columns in getattr(part, "transformers_", []):
            encoders = [step for step in parts_of(transformer) if hasattr(step, "categories_")]
            if not encoders:
                continue
            names = [columns] if isinstance(columns, str) else list(columns)
            for name, values in zip(names, encoders[0].categories_, strict=True):
                if any(isinstance(value, str) for value in values):
                    yield str(name), tuple(str(v) for v in values if isinstance(v, str))


def synthetic_rows(classifier: Any, features: Sequence[Feature]) -> Matrix:
    """Random rows around a scaler's means or a tree's thresholds, if the model has them, else around 0."""
    random = np.random.default_rng(0)
    width = len(features)
    matrix = random.normal(size=(PROBE_ROWS, width))
    for part in parts_of(classifier):
        if getattr(part, "mean_", np.empty(0)).shape == (width,) and hasattr(part, "scale_"):
            matrix = part.mean_ + matrix * part.scale_
            break
        if hasattr(part, "tree_") and part.n_features_in_ == width:
            _spread(matrix, part.tree_, random)
    for i, feature in enumerate(features):
        if feature.kind == "category":
            matrix[:, i] = random.integers(len(feature.categories), size=PROBE_ROWS)
    return np.ascontiguousarray(matrix, dtype=np.float32)


def _spread(matrix: Any, tree: Any, random: np.random.Generator) -> None:
    for column in range(matrix.shape[1]):
        thresholds = tree.threshold[tree.feature == column]
        if thresholds.size:
            low, high = thresholds.min(), thresholds.max()
            margin = (high - low) / 4 + abs(high) / 100 + 1e-3
            matrix[:, column] = random.uniform(low - margin, high + margin, len(matrix))


def _load(file: Path) -> Any:
    try:
        with warnings.catch_warnings():
            # Such a model may predict differently, which the comparison with it would not show.
            warnings.simplefilter("error", InconsistentVersionWarning)
            return joblib.load(file)
    except InconsistentVersionWarning as error:
        raise ImportModelError(
            f"its {error.estimator_name} was saved by scikit-learn {error.original_sklearn_version}, "
            f"here is {error.current_sklearn_version}: save it again with this version, or install that one"
        ) from error
    except OSError:
        raise
    # A pickle can raise any exception.
    except Exception as error:
        raise ImportModelError(f"joblib cannot load it: {type(error).__name__}: {error}") from error


def _read_rows(file: Path, names: Sequence[str]) -> pd.DataFrame:
    table = pd.read_csv(file)
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise ImportModelError(f"{file} has no column {', '.join(missing)}")
    if table.empty:
        raise ImportModelError(f"{file} has no rows")
    return table[list(names)]


def _feature(name: str, categories: dict[str, tuple[str, ...]]) -> Feature:
    if name in categories:
        return Feature(name=name, kind="category", categories=categories[name])
    return Feature(name=name)


def _with_range(feature: Feature, column: pd.Series[Any]) -> Feature:
    if feature.kind == "category":
        return feature
    numbers = pd.to_numeric(column, errors="coerce")
    observed = (float(numbers.min()), float(numbers.max()))
    return feature.model_copy(update={"observed": observed, "missing": bool(column.isna().any())})


def _encode(features: Sequence[Feature], table: pd.DataFrame, file: Path) -> Matrix:
    values = table.astype(object).where(table.notna(), None)
    try:
        columns = [values[feature.name].tolist() for feature in features]
        return Schema(features).encode_columns(columns, (str(file),))
    except RequestError as problem:
        raise ImportModelError(f"{file} does not fit the model: {problem.details[0]}") from problem


def _with_example(feature: Feature, probe: Matrix, position: int) -> Feature:
    example = Schema([feature]).decode(probe[:1, position : position + 1])[0][feature.name]
    return feature.model_copy(update={"example": example})


def main(arguments: Sequence[str] | None = None) -> int:
    """Import a file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tidegate import-model", description=__doc__)
    parser.add_argument("file", type=Path, help="the file that joblib wrote")
    parser.add_argument("out", type=Path, help="the artefact folder to write")
    options = parser.parse_args(arguments)
    try:
        manifest = import_model(options.file, options.out)
    except (ImportModelError, ExportError, artefact.ArtefactError) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{os_error_message(error)}\n")
        return 1
    sys.stdout.write(f"model {manifest.name} {manifest.version} in {options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
