"""`tidegate import-model FILE OUT`: convert a model file into an artefact folder.

A joblib file is a pickle: loading one runs the code in it. Import only files that you trust.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from timeit import repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.reference import BadReferenceError, Reference
from tidegate.monitoring.counting.residuals import MIN_ROWS, calibrate_residuals
from tidegate.os_errors import os_error_message
from tidegate.service.artefacts.formats import FORMATS, format_of
from tidegate.service.artefacts.import_cache import held, import_digest, rows_file, schema_file
from tidegate.service.artefacts.import_report import report
from tidegate.service.artefacts.original import predict
from tidegate.service.artefacts.parity import convert
from tidegate.service.artefacts.provenance import versions, write_artefact
from tidegate.service.artefacts.reference import build_reference, calibrate, no_rows
from tidegate.service.artefacts.rows import Rows, names_from_header, read_rows
from tidegate.service.artefacts.schema_file import ModelSchema, read_schema
from tidegate.service.artefacts.source_model import SourceModel, Texts
from tidegate.service.artefacts.synthetic_rows import (
    PROBE_ROWS,
    placeholder_texts,
    random_rows,
    with_holes,
)
from tidegate.service.model import artefact
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix, Schema
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.predictions import Classification, Prediction
from tidegate.service.model.signature import Signature

DECIMALS: Final = 4
EXAMPLE_CHARACTERS: Final = 200
TRIES: Final = 5
"""Predictions of one row that the time of one is the median of."""


def measure(rows: Rows, prediction: Prediction) -> tuple[Reference, dict[str, Any]]:
    """The reference, and the metrics on the rows whose truth is known; no metrics below `MIN_ROWS` of them.

    Returns:
        The reference, and the manifest's `held_out` metrics: of a classifier accuracy, of a regressor MAE and
        RMSE in the unit of its target, and the coverage of its interval. Empty without truth.

    Raises:
        ArtefactError: the model predicts a value that is not finite.
    """
    if isinstance(prediction, np.ndarray) and not np.isfinite(prediction).all():
        raise ArtefactError("it predicts a value that is not finite for a row of the CSV file")
    build = partial(build_reference, rows.features, rows.matrix, prediction)
    if rows.truth is None or (known := np.isfinite(rows.truth)).sum() < MIN_ROWS:
        return build(), {}
    truth = rows.truth[known]
    if isinstance(prediction, Classification):
        own = Classification(prediction.labels[known], prediction.probabilities[known])
        indices = truth.astype(np.intp)
        accuracy = float((own.labels == indices).mean())
        held_out = {"rows": len(indices), "accuracy": round(accuracy, DECIMALS)}
        return build(calibration=calibrate(own, indices)), held_out
    if not isinstance(prediction, np.ndarray):
        return build(), {}
    try:
        residuals = calibrate_residuals(prediction[known], truth)
    except BadReferenceError as error:
        raise ArtefactError(f"its errors on the CSV file cannot be computed: {error}") from error
    return build(residuals=residuals), {
        "rows": residuals.samples,
        "mae": float(f"{residuals.mean_absolute_error:.6g}"),
        "rmse": float(f"{residuals.root_mean_squared_error:.6g}"),
        "coverage": round(residuals.held_out_coverage, DECIMALS),
    }


def import_model(file: Path, out: Path, expected: str = "") -> artefact.Manifest:
    """Convert a model, compare both forms, and write the artefact folder.

    The rows of the comparison come from the CSV file of the same name in its folder, without one they are
    synthetic; rows at the jumps of its predictions are added. A drift reference needs real rows. Where no
    ONNX model predicts the same, the artefact is served by the original.

    Args:
        file: the model file. A copy of it is converted, whose `import_digest` is in the manifest.
        out: the artefact folder; one that was converted from the same files is left as it is.
        expected: the digest that the copy must have; empty for any.

    Raises:
        ArtefactError: it cannot be loaded or is of no format, the schema or the rows do not fit it, the file
            has changed meanwhile, or `out` is another model.
    """
    with artefact.locked(out), held(file, out.parent / f".{out.name}.source.tmp") as copy:
        digest = import_digest(copy)
        if expected not in {"", digest}:
            raise ArtefactError("it changed while it was read: start again when it is complete")
        if out.is_dir():
            manifest = artefact.load(out).manifest
            if manifest.inputs != digest:
                raise ArtefactError(
                    f"{out} is {manifest.name} {manifest.version}, which was made of other files or by "
                    "another version of Tidegate: choose another folder, or remove it"
                )
            return manifest
        try:
            return _convert(copy, out, digest)
        except ArtefactError as error:
            reason = str(error).replace(str(copy.parent), str(file.parent))
            raise ArtefactError(reason) from error


def _convert(file: Path, out: Path, digest: str) -> artefact.Manifest:
    file_format = format_of(file)
    schema = read_schema(file)
    source = file_format.open(file, schema)
    signature, rows = _with_rows(file, source, _described(file, source, schema), schema)
    signature, graph, parity, probe = _form(source, signature, rows, schema)
    texts = rows.texts if rows else placeholder_texts(signature.features, len(probe))
    parity["real_rows"] = rows is not None
    features = tuple(
        _with_example(*each, texts) for each in zip(signature.features, probe.T, strict=True)
    )
    signature = signature.model_copy(update={"features": features})
    if rows is None:
        reference, metrics = no_rows(features), dict[str, Any]()
    elif graph is None:
        reference, metrics = measure(rows, predict(source, features, probe, texts))
    else:
        reference, metrics = measure(rows, OnnxPredictor(graph, signature).predict(probe))
    with artefact.staged(out) as folder:
        if file_format.original:
            name = file_format.original.format(suffix=file.suffix.lower())
            shutil.copyfile(file, folder / name)
        manifest = write_artefact(
            folder,
            signature,
            graph,
            reference,
            probe[:PROBE_ROWS],
            texts=texts,
            name=re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "model",
            description=f"{source.description} from {file.name}",
            inputs=digest,
            trained={
                "adopted_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "kind": file_format.title,
            },
            metrics={"held_out": metrics} if metrics else {},
            parity=parity if source.predict is not None else {},
            versions=_versions(),
        )
        try:  # to predict rows with it, as a replica does
            open_predictor(artefact.Artefact(folder, manifest))
        except ArtefactError as error:
            reason = str(error).removeprefix(f"{folder / artefact.ONNX} ")
            raise ArtefactError(reason) from error
        return manifest


def _form(
    source: SourceModel, signature: Signature, rows: Rows | None, schema: ModelSchema
) -> tuple[Signature, bytes | None, dict[str, Any], Matrix]:
    """The signature of what is served, its graph, what the manifest says of the comparison, and rows.

    Without a graph that predicts the same, the original is served.

    Raises:
        ArtefactError: the original cannot predict these rows.
    """
    probe = rows.matrix if rows else random_rows(signature.features, source.spread)
    if source.predict is None:
        graph = source.to_onnx(signature.features, signature.datatype)
        return signature, graph, {}, probe
    accepting = _missing(source, signature, schema)
    try:
        signature, graph, parity, probe = convert(source, signature, rows.matrix if rows else None)
    except ArtefactError as error:
        reason = str(error)
    else:
        with suppress(ArtefactError):  # the original has another idea of missing values, or none
            if accepting.features != signature.features:
                signature, graph, parity, probe = convert(source, accepting, probe)
        return signature, graph, asdict(parity), probe
    texts = rows.texts if rows else placeholder_texts(signature.features, len(probe))
    try:
        predict(source, signature.features, probe, texts)
        seconds = _seconds_of_one(source, signature, probe, texts)
    except Exception as error:
        raise ArtefactError(
            f"{source.description} cannot predict: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    with suppress(Exception):  # it accepts no missing values
        predict(source, accepting.features, with_holes(probe, accepting.features), texts)
        signature = accepting
    served = {"served": "original", "reason": reason, "seconds_per_row": seconds}
    by = {"input": "rows", "runtime": "original"}
    return signature.model_copy(update=by), None, served, probe


def _described(file: Path, source: SourceModel, schema: ModelSchema) -> Signature:
    """The signature of the model, with what the schema file says."""
    signature, where = source.signature, schema_file(file)
    if schema.task not in {None, signature.task}:
        raise ArtefactError(f"{where}: `task` is {schema.task}; the model's is {signature.task}")
    if signature.input == "tensors":
        if schema.features:
            raise ArtefactError(
                f"{where}: `features`: the model has tensors as inputs, not features"
            )
        return signature
    classes = tuple(schema.classes or signature.classes)
    if len(classes) != len(signature.classes):
        raise ArtefactError(
            f"{where}: `classes` has {len(classes)} names; the model has {len(signature.classes)} classes"
        )
    features = schema.described(signature.features, named=source.named, source=str(where))
    return signature.model_copy(update={"features": features, "classes": classes})


def _with_rows(
    file: Path, source: SourceModel, signature: Signature, schema: ModelSchema
) -> tuple[Signature, Rows | None]:
    """The signature with what the CSV file says of the features, and its rows; None without one."""
    csv = rows_file(file)
    if not csv.is_file():
        return signature, None
    if signature.input == "tensors":
        raise ArtefactError(f"{csv} cannot be used: the model has tensors as inputs, not features")
    if not (source.named or schema.features):
        signature = names_from_header(csv, signature, schema)
    rows = read_rows(csv, signature, schema)
    return signature.model_copy(update={"features": rows.features}), rows


def _missing(source: SourceModel, signature: Signature, schema: ModelSchema) -> Signature:
    """The signature with all features missing that may be, as far as the schema does not say."""
    if not source.takes_missing:
        return signature
    fixed = {feature.name for feature in schema.features if "missing" in feature.model_fields_set}
    features = tuple(
        feature if feature.name in fixed else feature.model_copy(update={"missing": True})
        for feature in signature.features
    )
    return signature.model_copy(update={"features": features})


def _seconds_of_one(
    source: SourceModel, signature: Signature, probe: Matrix, texts: Texts
) -> float:
    """How long the original takes for one row."""
    one = {name: column[:1] for name, column in texts.items()}
    row = partial(predict, source, signature.features, probe[:1], one)
    return float(f"{median(repeat(row, number=1, repeat=TRIES)):.2g}")


def _versions() -> dict[str, str]:
    """Versions of the packages of training, and of those that the formats have imported."""
    packages = {each.estimators.package for each in FORMATS if each.estimators}
    packages &= sys.modules.keys()
    return versions() | {name: sys.modules[name].__version__ for name in sorted(packages)}


def _with_example(feature: Feature, column: npt.NDArray[np.floating[Any]], texts: Texts) -> Feature:
    if feature.kind == "text":
        text = next(filter(None, texts[feature.name]), "text")
        return feature.model_copy(update={"example": text[:EXAMPLE_CHARACTERS]})
    known = column[~np.isnan(column)].astype(np.float32)[:1, None]
    if not len(known):
        return feature
    example = Schema([feature]).decode(known)[0][feature.name]
    return feature.model_copy(update={"example": example})


def main(arguments: Sequence[str]) -> int:
    """Import a file into a folder, with the digest that the file should have; returns the exit code."""
    file, out = map(Path, arguments[:2])
    try:
        manifest = import_model(file, out, *arguments[2:])
    except (ArtefactError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "its conversion needs more memory than there is"
        sys.stderr.write(f"{file} cannot be served: {reason}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{os_error_message(error)}\n")
        return 1
    sys.stdout.write(report(manifest, out, rows_file(file)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
