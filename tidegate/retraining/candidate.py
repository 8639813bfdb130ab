"""The challenger: the champion's pipeline, fitted on newer rows and written as an artefact."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import orjson
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.isotonic import IsotonicRegression

from tidegate.drift.counting.reference import Calibration
from tidegate.retraining.comparison import Difference, compare, measure
from tidegate.retraining.labelled_rows import Labelled, NoRowsError
from tidegate.service.artefacts.onnx_export import as_table, classes_of, export
from tidegate.service.artefacts.provenance import versions, write_samples
from tidegate.service.artefacts.reference import build_reference
from tidegate.service.model import artefact
from tidegate.service.model.artefact import Artefact, Manifest
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.predictor import Prediction, Predictor, load_predictor
from tidegate.service.training.train import SAMPLES

HELD_OUT_SHARE: Final = 0.25
LEAST_OF_A_CLASS: Final = 20

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenger, and how it compares with the champion."""

    manifest: Manifest
    differences: list[Difference]
    fitted: int
    held_out: int


def challenge(champion: Artefact, rows: Labelled, folder: Path, tell: Tell) -> Challenge:
    """Fit, convert and compare a challenger, and write its artefact's files.

    The rows of the comparison are newer than those of the training, as in production. A block of time is
    never divided.

    Args:
        champion: what is served now.
        rows: rows and their labels.
        folder: an empty one.
        tell: called with a line for each step.

    Raises:
        NoRowsError: there are too few rows of a class.
        ExportError: the classifier does not convert, or answers differently then.
        ArtefactError: the champion's classifier cannot be read.
    """
    start = time.perf_counter()
    held_out = newest(rows)
    _check_classes(rows, held_out, champion.manifest)
    old, new = rows.matrix[~held_out], rows.matrix[held_out]
    columns = champion.manifest.input == "columns"
    features = tuple(
        _observe(*pair) for pair in zip(champion.manifest.features, old.T, strict=True)
    )
    model = fit(champion, features, old, rows.truth[~held_out])
    joblib.dump(model, folder / artefact.MODEL, compress=3)
    tell(f"fitted on {len(old):,} rows")
    graph, parity = export(model, features, new, columns=columns)
    (folder / artefact.ONNX).write_bytes(graph)
    tell(f"converted to ONNX, the same on {parity.rows:,} rows")
    given = Predictor(graph, features, columns=columns).predict(new)
    truth = rows.truth[held_out]
    differences = compare(load_predictor(champion).predict(new), given, truth, rows.block[held_out])
    tell(f"compared on the newest {len(new):,} rows")
    classes = classes_of(model)
    reference = build_reference(
        features,
        rows.matrix,
        calibrate(given, truth),
        np.bincount(given.labels, minlength=len(classes)).tolist(),
    )
    text = reference.model_dump_json() + "\n"
    (folder / artefact.REFERENCE).write_text(text, encoding="utf-8")
    picked = np.random.default_rng(0).permutation(len(new))[:SAMPLES]
    write_samples(folder, features, new[picked])
    scores = {name: round(value, 4) for name, value in measure(given, truth).items()}
    manifest = artefact.write_manifest(
        folder,
        name=champion.manifest.name,
        description=champion.manifest.description,
        input=champion.manifest.input,
        features=features,
        classes=classes,
        inputs=_digest(rows, champion.manifest),
        trained={
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "window": list(rows.window),
            "source": rows.source,
            "parent": champion.manifest.version,
            "rows": len(old),
            "held_out_rows": len(new),
            "seconds": round(time.perf_counter() - start, 1),
        },
        metrics={
            "held_out": {"rows": len(new), **scores},
            "against_parent": [asdict(one) for one in differences],
        },
        parity=parity.as_json(),
        versions=versions(),
    )
    return Challenge(manifest, differences, len(old), len(new))


def newest(rows: Labelled) -> Any:
    """Which rows are held out: the newest blocks, about `HELD_OUT_SHARE` of all rows.

    Raises:
        NoRowsError: they are all of one block.
    """
    first = rows.block[int(len(rows) * (1 - HELD_OUT_SHARE))]
    if first == rows.block[0]:
        raise NoRowsError("all rows are of one moment: nothing newer is left to compare on")
    return rows.block >= first


def fit(champion: Artefact, features: Sequence[Feature], matrix: Matrix, truth: Any) -> Any:
    """The champion's pipeline with its settings, without what it learned, fitted on these rows.

    Raises:
        ArtefactError: the champion's file does not read, or is of another scikit-learn.
    """
    file = champion.path / artefact.MODEL
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InconsistentVersionWarning)
            model = clone(joblib.load(file))
    # A pickle can raise anything at all.
    except Exception as error:
        raise artefact.ArtefactError(f"{file} does not read: {error}") from error
    given: Any = as_table(features, matrix) if champion.manifest.input == "columns" else matrix
    model.fit(given, np.array(champion.manifest.classes)[truth])
    return model


def calibrate(prediction: Prediction, truth: Any) -> Calibration:
    """How often the label is right, given its probability: isotonic regression on held-out rows."""
    curve: Any = IsotonicRegression(out_of_bounds="clip")
    correct = prediction.labels == truth
    curve.fit(prediction.confidence.astype(np.float64), correct.astype(np.float64))
    return Calibration(
        confidence=tuple(curve.X_thresholds_.tolist()),
        correct=tuple(curve.y_thresholds_.tolist()),
        samples=len(truth),
    )


def _check_classes(rows: Labelled, held_out: Any, champion: Manifest) -> None:
    for part, picked in (("older", ~held_out), ("newest", held_out)):
        counts = np.bincount(rows.truth[picked], minlength=len(champion.classes))
        for label, count in zip(champion.classes, counts.tolist(), strict=True):
            if count < LEAST_OF_A_CLASS:
                raise NoRowsError(
                    f"only {count} of the {part} rows are {label}; {LEAST_OF_A_CLASS} are needed"
                )


def _observe(feature: Feature, column: Any) -> Feature:
    known = column[~np.isnan(column)]
    if feature.kind == "category" or not known.size:
        return feature
    # By their shortest text: 12.65858 and not 12.658579826354980.
    observed = (float(str(known.min())), float(str(known.max())))
    return feature.model_copy(update={"observed": observed})


def _digest(rows: Labelled, champion: Manifest) -> str:
    seen = hashlib.sha256()
    for part in (rows.matrix, rows.truth, rows.block):
        seen.update(np.ascontiguousarray(part).tobytes())
    seen.update(orjson.dumps([champion.files, versions()], option=orjson.OPT_SORT_KEYS))
    return f"sha256:{seen.hexdigest()}"
