"""Train a candidate: the pipeline of the current model, fitted on newer rows and written as an artefact."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import orjson
from sklearn.base import clone

from tidegate.monitoring.retraining.comparison import Difference, compare, measure
from tidegate.monitoring.retraining.training_rows import NoRowsError, TrainingRows
from tidegate.service.artefacts.formats.sklearn_joblib import as_table, describe, load
from tidegate.service.artefacts.parity import convert
from tidegate.service.artefacts.provenance import versions, write_artefact
from tidegate.service.artefacts.reference import build_reference, calibrate, observed
from tidegate.service.artefacts.sklearn_structure import where_missing_is_none
from tidegate.service.model import artefact
from tidegate.service.model.artefact import Artefact, ArtefactError, Manifest
from tidegate.service.model.features import Feature, Matrix
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.training.train import SAMPLES

HELD_OUT_FRACTION: Final = 0.25
MIN_ROWS_PER_CLASS: Final = 20

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The manifest of a candidate's artefact, and its comparison with the current model by measure."""

    manifest: Manifest
    differences: list[Difference]


def train_candidate(
    current: Artefact, rows: TrainingRows, folder: Path, report: Report
) -> Candidate:
    """Fit, convert and compare a candidate, and write the files of its artefact into an empty folder.

    It is compared on rows that are newer than those it is fitted on, as in production. A block of time is
    not split. `report` is called with a line of progress after each step.

    Raises:
        NoRowsError: there are too few rows of a class.
        ArtefactError: the classifier of the current model cannot be loaded, the new one cannot be converted,
            or its ONNX model predicts differently.
    """
    start = time.perf_counter()
    held_out = newest(rows)
    _check_classes(rows, held_out, current.manifest)
    old, new = rows.matrix[~held_out], rows.matrix[held_out]
    features = observed(current.manifest.features, old)
    model = fit(current, features, old, rows.truth[~held_out])
    joblib.dump(model, folder / artefact.MODEL, compress=3)
    report(f"fitted on {len(old):,} rows")
    source = describe(model)
    signature = source.signature.model_copy(update={"features": features})
    signature, graph, parity, _ = convert(source, signature, new)
    report(f"converted to ONNX, same predictions on {parity.rows:,} rows")
    predicted = OnnxPredictor(graph, signature).predict(new)
    truth = rows.truth[held_out]
    differences = compare(
        open_predictor(current)[0].predict(new), predicted, truth, rows.block[held_out]
    )
    report(f"compared on the newest {len(new):,} rows")
    calibration = calibrate(predicted, truth)
    reference = build_reference(features, rows.matrix, predicted, calibration=calibration)
    picked = np.random.default_rng(0).permutation(len(new))[:SAMPLES]
    scores = {name: round(value, 4) for name, value in measure(predicted, truth).items()}
    manifest = write_artefact(
        folder,
        signature,
        graph,
        reference,
        new[picked],
        name=current.manifest.name,
        description=current.manifest.description,
        inputs=_digest(rows, current.manifest),
        trained={
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "window": list(rows.window),
            "source": rows.source,
            "parent": current.manifest.version,
            "rows": len(old),
            "held_out_rows": len(new),
            "seconds": round(time.perf_counter() - start, 1),
        },
        metrics={
            "held_out": {"rows": len(new), **scores},
            "against_parent": [difference.as_json() for difference in differences],
        },
        parity=asdict(parity),
        versions=versions(),
    )
    return Candidate(manifest, differences)


def newest(rows: TrainingRows) -> Any:
    """The held-out rows, as a mask: the newest blocks, about `HELD_OUT_FRACTION` of all rows.

    Raises:
        NoRowsError: all rows are of one block.
    """
    first = rows.block[int(len(rows) * (1 - HELD_OUT_FRACTION))]
    if first == rows.block[0]:
        raise NoRowsError(
            "all rows are from the same time, so there are no newer rows to compare on"
        )
    return rows.block >= first


def fit(current: Artefact, features: Sequence[Feature], matrix: Matrix, truth: Any) -> Any:
    """The unfitted pipeline of the current model, with its parameters, fitted on these rows.

    Raises:
        ArtefactError: its file cannot be loaded, or was saved by another version of scikit-learn.
    """
    file = current.path / artefact.MODEL
    try:
        fitted = load(file)
        model = clone(fitted)
    except (ArtefactError, OSError, TypeError, RuntimeError) as error:
        raise ArtefactError(f"{file} cannot be loaded: {error}") from error
    inputs: Any = matrix
    if current.manifest.input == "columns":
        inputs = as_table(features, matrix, {}, set(where_missing_is_none(fitted)))
    model.fit(inputs, np.array(current.manifest.classes)[truth])
    return model


def _check_classes(rows: TrainingRows, held_out: Any, current: Manifest) -> None:
    for part, picked in (("older", ~held_out), ("newest", held_out)):
        counts = np.bincount(rows.truth[picked], minlength=len(current.classes))
        for label, count in zip(current.classes, counts.tolist(), strict=True):
            if count < MIN_ROWS_PER_CLASS:
                raise NoRowsError(
                    f"only {count} of the {part} rows are {label}; {MIN_ROWS_PER_CLASS} are needed"
                )


def _digest(rows: TrainingRows, current: Manifest) -> str:
    digest = hashlib.sha256()
    for part in (rows.matrix, rows.truth, rows.block):
        digest.update(np.ascontiguousarray(part).tobytes())
    digest.update(orjson.dumps([current.files, versions()], option=orjson.OPT_SORT_KEYS))
    return f"sha256:{digest.hexdigest()}"
