"""`tidegate import-model FILE OUT`: convert a model file into an artefact folder.

A joblib file is a pickle: loading one runs the code in it. Import only files that you trust.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.os_errors import os_error_message
from tidegate.service.artefacts.formats import FORMATS, format_of
from tidegate.service.artefacts.held_out import measure
from tidegate.service.artefacts.import_cache import held, import_digest, rows_file, schema_file
from tidegate.service.artefacts.import_report import report
from tidegate.service.artefacts.onnx_graph import thresholds
from tidegate.service.artefacts.parity import Parity, compare
from tidegate.service.artefacts.provenance import versions, write_artefact
from tidegate.service.artefacts.reference import no_rows
from tidegate.service.artefacts.rows import Rows, names_from_header, read_rows
from tidegate.service.artefacts.schema_file import ModelSchema, read_schema
from tidegate.service.artefacts.source_model import SourceModel
from tidegate.service.artefacts.synthetic_rows import PROBE_ROWS, random_rows, with_holes
from tidegate.service.model import artefact
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import Feature, Matrix, Schema
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.onnx_predictor import OnnxPredictor
from tidegate.service.model.signature import Signature

TOLERATED_FRACTION: Final = 0.01
"""Fraction of synthetic rows whose prediction may differ: they can lie outside the range of real rows."""


def import_model(file: Path, out: Path, expected: str = "") -> artefact.Manifest:
    """Convert a model, compare both forms, and write the artefact folder.

    The rows of the comparison come from the CSV file of the same name in its folder. Without one they are
    synthetic. A drift reference needs real rows.

    Args:
        file: the model file. A copy of it is converted, whose `import_digest` is in the manifest.
        out: the artefact folder; one that was converted from the same files is left as it is.
        expected: the digest that the copy must have; empty for any.

    Raises:
        ArtefactError: it cannot be loaded or is of no format, the schema or the rows do not fit it, it
            cannot be converted, the ONNX model predicts differently, the file has changed meanwhile, or
            `out` is another model.
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
    graph = source.to_onnx(signature.features)
    probe = _synthetic(source, graph, signature) if rows is None else rows.matrix
    parity: dict[str, Any] = {}
    features = signature.features
    if source.predict is not None:
        parity = asdict(_compare(source, graph, signature, probe, rows))
        parity["real_rows"] = rows is not None
        features = _with_missing(source, graph, signature, probe, schema)
    features = tuple(_with_example(*each) for each in zip(features, probe.T, strict=True))
    signature = signature.model_copy(update={"features": features})
    if rows is None:
        reference, metrics = no_rows(features), dict[str, Any]()
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
            name=re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "model",
            description=f"{source.description} from {file.name}",
            inputs=digest,
            trained={
                "adopted_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "kind": file_format.title,
            },
            metrics={"held_out": metrics} if metrics else {},
            parity=parity,
            versions=_versions(),
        )
        try:  # to predict rows with it, as a replica does
            open_predictor(artefact.Artefact(folder, manifest))
        except ArtefactError as error:
            reason = str(error).removeprefix(f"{folder / artefact.ONNX} ")
            raise ArtefactError(reason) from error
        return manifest


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


def _synthetic(source: SourceModel, graph: bytes, signature: Signature) -> Matrix:
    is_tree = source.predict is not None and source.spread is None
    found = thresholds(graph, len(signature.features)) if is_tree else {}
    return random_rows(signature.features, source.spread, found)


def _compare(
    source: SourceModel, graph: bytes, signature: Signature, probe: Matrix, rows: Rows | None
) -> Parity:
    parity = compare(source, graph, signature, [probe])
    if rows is not None and parity.rows_apart:
        parity = compare(source, graph, signature, [probe, rows.wide])
    parity.check(source.description, TOLERATED_FRACTION if rows is None else 0.0)
    return parity


def _with_missing(
    source: SourceModel, graph: bytes, signature: Signature, probe: Matrix, schema: ModelSchema
) -> tuple[Feature, ...]:
    """The features, which may be missing if both models then predict the same, too."""
    if not source.takes_missing:
        return signature.features
    fixed = {feature.name for feature in schema.features if "missing" in feature.model_fields_set}
    features = tuple(
        feature if feature.name in fixed else feature.model_copy(update={"missing": True})
        for feature in signature.features
    )
    try:
        sparse = compare(source, graph, signature, [with_holes(probe, features)])
        sparse.check(source.description, TOLERATED_FRACTION)
    except ArtefactError:
        # The original has another idea of missing values, or only seemed to accept them.
        return signature.features
    return features


def _versions() -> dict[str, str]:
    """Versions of the packages of training, and of those that the formats have imported."""
    packages = {each.estimators.package for each in FORMATS if each.estimators}
    packages &= sys.modules.keys()
    return versions() | {name: sys.modules[name].__version__ for name in sorted(packages)}


def _with_example(feature: Feature, column: npt.NDArray[np.float32]) -> Feature:
    known = column[~np.isnan(column)][:1, None]
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
