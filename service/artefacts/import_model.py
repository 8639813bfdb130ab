"""`tidegate import-model FILE OUT`: convert a model file into an artefact folder.

A joblib file is a pickle: loading one runs the code in it. Import only files that you trust.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from tidegate.monitoring.counting.reference import Reference
from tidegate.os_errors import os_error_message
from tidegate.service.artefacts.formats import all_formats, format_of
from tidegate.service.artefacts.held_out import measure
from tidegate.service.artefacts.import_cache import import_digest, rows_file, schema_file
from tidegate.service.artefacts.import_error import ImportModelError
from tidegate.service.artefacts.import_report import report
from tidegate.service.artefacts.onnx_graph import thresholds
from tidegate.service.artefacts.parity import Parity, compare, merged
from tidegate.service.artefacts.provenance import versions, write_artefact
from tidegate.service.artefacts.reference import no_rows
from tidegate.service.artefacts.rows import Rows, names_from_header, read_rows
from tidegate.service.artefacts.schema_file import ModelSchema, read_schema
from tidegate.service.artefacts.source_model import SourceModel
from tidegate.service.artefacts.synthetic_rows import PROBE_ROWS, random_rows, with_holes
from tidegate.service.model import artefact
from tidegate.service.model.features import Feature, Matrix, Schema
from tidegate.service.model.loaded_model import open_predictor
from tidegate.service.model.onnx_predictor import open_graph
from tidegate.service.model.signature import Signature

TOLERATED_FRACTION: Final = 0.01
"""Fraction of synthetic rows whose prediction may differ: they can lie outside the range of real rows."""


def import_model(file: Path, out: Path) -> artefact.Manifest:
    """Convert a model, compare both forms, and write the artefact folder.

    The rows of the comparison come from the CSV file of the same name in its folder. Without one they are
    synthetic. A drift reference needs real rows.

    Args:
        file: a model file of one of the formats of `tidegate.service.artefacts.formats`.
        out: the artefact folder.

    Raises:
        ImportModelError: it cannot be loaded or is of no format, the schema or the rows do not fit it, it
            cannot be converted, or the ONNX model predicts differently.
    """
    with artefact.locked(out):
        if out.is_dir():  # another replica has converted it
            return artefact.load(out).manifest
        file_format = format_of(file)
        schema = read_schema(file)
        source = file_format.open(file, schema)
        signature = _described(source, schema, schema_file(file))
        if _names_come_from_rows(file, source, schema):
            signature = names_from_header(rows_file(file), signature, schema)
        rows = _rows(file, signature, schema)
        if rows is not None:
            signature = signature.model_copy(update={"features": rows.features})
        graph = source.to_onnx(signature.features)
        probe = _synthetic(source, graph, signature) if rows is None else rows.matrix
        features, parity = _compare(source, graph, signature, probe=probe, schema=schema, rows=rows)
        features = tuple(_with_example(feature, probe, i) for i, feature in enumerate(features))
        signature = signature.model_copy(update={"features": features})
        reference, metrics = _measure(graph, signature, rows)
        with artefact.staged(out) as folder:
            if file_format.original:
                name = file_format.original.format(suffix=file.suffix.lower())
                shutil.copyfile(file, folder / name)
            found = {"real_rows": rows is not None}
            manifest = write_artefact(
                folder,
                signature,
                graph,
                reference,
                probe[:PROBE_ROWS],
                name=re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "model",
                description=f"{source.description} from {file.name}",
                inputs=import_digest(file),
                trained={
                    "adopted_at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "kind": file_format.title,
                },
                metrics={"held_out": metrics} if metrics else {},
                parity=asdict(parity) | found if parity else {},
                versions=_versions(),
            )
            _try(artefact.Artefact(folder, manifest))
            return manifest


def _try(found: artefact.Artefact) -> None:
    """Load the artefact as a replica does, and predict rows with it."""
    try:
        open_predictor(found)
    except artefact.ArtefactError as error:
        raise ImportModelError(str(error).removeprefix(f"{found.path / artefact.ONNX} ")) from error


def _described(source: SourceModel, schema: ModelSchema, file: Path | None) -> Signature:
    """The signature of the model, with what the schema file says."""
    signature = source.signature
    if schema.task not in {None, signature.task}:
        raise ImportModelError(f"{file}: `task` is {schema.task}; the model's is {signature.task}")
    if signature.input == "tensors":
        if schema.features:
            raise ImportModelError(
                f"{file}: `features`: the model has tensors as inputs, not features"
            )
        return signature
    if schema.classes and len(schema.classes) != len(signature.classes):
        raise ImportModelError(
            f"{file}: `classes` has {len(schema.classes)} names; the model has "
            f"{len(signature.classes)} classes"
        )
    features = schema.described(signature.features, named=source.named, source=str(file))
    changes: dict[str, Any] = {"features": features}
    if schema.classes:
        changes["classes"] = tuple(schema.classes)
    # Validated again: a renamed feature may have the name of another one.
    return Signature.model_validate(dict(signature) | changes)


def _names_come_from_rows(file: Path, source: SourceModel, schema: ModelSchema) -> bool:
    is_unnamed = bool(source.signature.features) and not (source.named or schema.features)
    return is_unnamed and rows_file(file).is_file()


def _rows(file: Path, signature: Signature, schema: ModelSchema) -> Rows | None:
    rows = rows_file(file)
    if not rows.is_file():
        return None
    if signature.input == "tensors":
        raise ImportModelError(
            f"{rows} cannot be used: the model has tensors as inputs, not features"
        )
    return read_rows(rows, signature, schema)


def _synthetic(source: SourceModel, graph: bytes, signature: Signature) -> Matrix:
    is_tree = source.predict is not None and source.spread is None
    found = thresholds(graph, len(signature.features)) if is_tree else {}
    return random_rows(signature.features, source.spread, found)


def _compare(
    source: SourceModel,
    graph: bytes,
    signature: Signature,
    *,
    probe: Matrix,
    schema: ModelSchema,
    rows: Rows | None,
) -> tuple[tuple[Feature, ...], Parity | None]:
    """Compare both models; with missing values, too, if the original accepts them.

    Returns:
        The features, of which some may be missing, and the comparison; None if there is no original.
    """
    if source.predict is None:
        return signature.features, None
    tolerated = TOLERATED_FRACTION if rows is None else 0.0
    parity = compare(source, graph, signature, [probe])
    if rows is not None and parity.rows_apart:
        parity = compare(source, graph, signature, [probe, rows.wide])
    parity.check(source.description, tolerated)
    if not source.takes_missing:
        return signature.features, parity
    fixed = {feature.name for feature in schema.features if "missing" in feature.model_fields_set}
    features = tuple(
        feature if feature.name in fixed else feature.model_copy(update={"missing": True})
        for feature in signature.features
    )
    try:
        sparse = compare(source, graph, signature, [with_holes(probe, features)])
        sparse.check(source.description, TOLERATED_FRACTION)
    except ImportModelError:
        # The original has another idea of missing values, or only seemed to accept them.
        return signature.features, parity
    return features, merged([parity, sparse])


def _measure(
    graph: bytes, signature: Signature, rows: Rows | None
) -> tuple[Reference, dict[str, Any]]:
    if rows is None:
        return no_rows(signature.features), {}
    return measure(rows, open_graph(graph, signature).predict(rows.matrix))


def _versions() -> dict[str, str]:
    """Versions of the packages of training, and of those that the formats have imported."""
    packages = {each.estimators.package for each in all_formats() if each.estimators}
    packages &= sys.modules.keys()
    return versions() | {name: sys.modules[name].__version__ for name in sorted(packages)}


def _with_example(feature: Feature, probe: Matrix, position: int) -> Feature:
    known = probe[~np.isnan(probe[:, position]), position][:1, None]
    if not len(known):
        return feature
    example = Schema([feature]).decode(known)[0][feature.name]
    return feature.model_copy(update={"example": example})


def main(arguments: Sequence[str] | None = None) -> int:
    """Import a file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tidegate import-model", description=__doc__)
    parser.add_argument("file", type=Path, help="the model file")
    parser.add_argument("out", type=Path, help="the artefact folder to write")
    options = parser.parse_args(arguments)
    try:
        manifest = import_model(options.file, options.out)
    except (ImportModelError, artefact.ArtefactError) as error:
        reason = " ".join(str(error).split())
        sys.stderr.write(f"{options.file} cannot be served: {reason}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{os_error_message(error)}\n")
        return 1
    except MemoryError as error:
        sys.stderr.write(
            f"{options.file} cannot be served: its conversion needs more memory than there is: "
            f"{error or 'out of memory'}\n"
        )
        return 1
    sys.stdout.write(report(manifest, options.out, rows_file(options.file)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
