"""`tidegate reference`: writes the reference of a file of rows, and reports what it found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from rich.table import Table

from tidegate.monitoring.counting.reference import BadReferenceError, FeatureReference, Reference
from tidegate.monitoring.tasks.registry import TASKS
from tidegate.os_errors import os_error_message
from tidegate.runtime.atomic_files import atomic_file
from tidegate.service.artefacts.table_files import read_rows
from tidegate.service.artefacts.table_reference import Columns, table_reference
from tidegate.terminal_console import Console

_FEW_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class ReferenceOptions:
    """The options of the command.

    Attributes:
        file: the rows.
        out: the file to write.
        prediction: the column of the predictions.
        truth: the column of the true labels.
        confidence: the column of the probability of the predicted label.
        features: the features, separated by commas; None takes all other columns.
        task: classification or regression; None decides by the column of the predictions.
    """

    file: Path
    out: Path
    prediction: str
    truth: str | None = None
    confidence: str | None = None
    features: str | None = None
    task: str | None = None


def run(options: ReferenceOptions, console: Console | None = None) -> int:
    """Run the command.

    Returns:
        The exit code: 0, or 2 if there is no reference, with the reason on stderr.
    """
    console = console or Console(soft_wrap=True, highlight=False)
    try:
        reference = table_reference(read_rows(options.file), _columns(options))
        with atomic_file(options.out, mode=0o644) as opened:
            opened.write(reference.model_dump_json().encode() + b"\n")
    except BadReferenceError as error:
        text = str(error)
        named = text if str(options.file) in text else f"{options.file}: {text}"
        sys.stderr.write(f"{named}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{os_error_message(error)}\n")
        return 2
    _report(reference, options, console)
    return 0


def _columns(options: ReferenceOptions) -> Columns:
    if options.task is not None and options.task not in TASKS:
        raise BadReferenceError(f"--task should be {' or '.join(TASKS)}, got {options.task}")
    names = options.features
    features = None if names is None else tuple(each.strip() for each in names.split(","))
    return Columns(
        options.prediction,
        truth=options.truth,
        confidence=options.confidence,
        features=features,
        task=options.task,
    )


def _report(reference: Reference, options: ReferenceOptions, console: Console) -> None:
    console.print(f"{options.file}: {reference.samples:,} rows")
    table = Table(box=None, pad_edge=False)
    for name, justify in (("column", "left"), ("kind", "left"), ("bins", "right")):
        table.add_column(name, justify=cast("Literal['left', 'right']", justify))
    table.add_column("missing", justify="right")
    table.add_column("other", justify="right")
    for feature in reference.features:
        table.add_row(*_row(feature))
    console.print(table)
    for line in _predictions(reference, options):
        console.print(line)
    if reference.samples < _FEW_ROWS:
        console.print(
            f"{reference.samples} rows are few: chance alone moves their bins, so only larger drift is "
            f"significant; use {_FEW_ROWS:,} or more",
        )
    console.print(f"wrote {options.out}")


def _row(feature: FeatureReference) -> tuple[str, ...]:
    is_category = feature.kind == "category"
    others = f"{feature.counts[-2]:,}" if is_category else ""
    bins = len(feature.bins) - (2 if is_category else 3)
    return (
        feature.name,
        feature.kind,
        str(bins),
        f"{feature.counts[-1]:,}",
        others,
    )


def _predictions(reference: Reference, options: ReferenceOptions) -> Iterator[str]:
    bins = reference.prediction
    if bins is None:
        return
    if bins.kind == "category":
        labels = ", ".join(bins.labels[:-2])
        yield f"predictions in {options.prediction} are labels: {labels}"
        if options.task is None and all(_is_integer(label) for label in bins.bins[:-2]):
            yield "if they are values of a regressor, use --task regression"
    else:
        yield f"predictions in {options.prediction} are numbers in {len(bins.bins) - 3} bins"
    if reference.accuracy is not None:
        yield f"accuracy {reference.accuracy:.4f}"
    if reference.calibration is not None:
        yield f"confidence calibrated on {reference.calibration.samples:,} rows"
    if (found := reference.residuals) is not None:
        yield (
            f"mean absolute error {found.mean_absolute_error:.4g}, RMSE {found.root_mean_squared_error:.4g}, "
            f"{found.coverage:.0%} of the true values within ± {found.half_width:.4g}, "
            f"on {found.samples:,} rows"
        )
    if options.truth is None:
        yield "without --truth there is no accuracy or error to compare later labels with"


def _is_integer(label: str) -> bool:
    return label.removeprefix("-").isdecimal()
