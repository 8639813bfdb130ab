"""`tidegate reference`: writes the reference of a file of rows, and reports what it found."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pandas as pd
from rich.table import Table

from tidegate.monitoring.counting.reference import BadReferenceError, FeatureReference, Reference
from tidegate.os_errors import os_error_message
from tidegate.runtime.atomic_files import atomic_file
from tidegate.service.artefacts.table_reference import Columns, table_reference
from tidegate.terminal_console import Console

_FEW_ROWS: Final = 1000
_PARQUET: Final = (".parquet", ".pq")


def run(file: Path, out: Path, columns: Columns, console: Console | None = None) -> int:
    """Write the reference of the rows in `file`; returns the exit code: 0, or 2 with the reason on stderr."""
    console = console or Console(soft_wrap=True, highlight=False)
    try:
        reference = table_reference(read_rows(file), columns)
        with atomic_file(out, mode=0o644) as opened:
            opened.write(reference.model_dump_json().encode() + b"\n")
    except BadReferenceError as error:
        text = str(error)
        sys.stderr.write(f"{text if str(file) in text else f'{file}: {text}'}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{os_error_message(error)}\n")
        return 2
    console.print(f"{file}: {reference.samples:,} rows")
    _report(reference, columns, console)
    console.print(f"wrote {out}")
    return 0


def read_rows(file: Path) -> pd.DataFrame:
    """The rows of a Parquet file (`.parquet`), or of a CSV file with a header, which may be compressed.

    Raises:
        BadReferenceError: it is neither, or cannot be read.
    """
    is_parquet = file.suffix.lower() in _PARQUET
    try:
        if is_parquet:
            return pd.read_parquet(file, engine="pyarrow")
        return pd.read_csv(file)
    except OSError:
        raise
    except ImportError as error:
        raise BadReferenceError(
            f"{file} is Parquet, which needs pyarrow: pip install 'tidegate[parquet]'"
        ) from error
    # pandas and pyarrow raise errors of many types for a damaged file.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise BadReferenceError(
            f"{file} cannot be read as {'Parquet' if is_parquet else 'CSV'}: {reason}"
        ) from error


def _report(reference: Reference, columns: Columns, console: Console) -> None:
    table = Table("column", "kind", box=None, pad_edge=False)
    for name in ("bins", "missing", "other"):
        table.add_column(name, justify="right")
    for feature in reference.features:
        table.add_row(*_row(feature))
    console.print(table)
    for line in _predictions(reference, columns):
        console.print(line)
    if reference.samples < _FEW_ROWS:
        console.print(
            f"{reference.samples} rows are few: chance alone moves their bins, so only larger drift is "
            f"significant; use {_FEW_ROWS:,} or more",
        )


def _row(feature: FeatureReference) -> tuple[str, ...]:
    is_category = feature.kind == "category"
    others = f"{feature.counts[-2]:,}" if is_category else ""
    bins = len(feature.bins) - (2 if is_category else 3)
    return feature.name, feature.kind, str(bins), f"{feature.counts[-1]:,}", others


def _predictions(reference: Reference, columns: Columns) -> Iterator[str]:
    bins = reference.prediction
    if bins is None:
        return
    if bins.kind == "category":
        labels = ", ".join(bins.labels[:-2])
        yield f"predictions in {columns.prediction} are labels: {labels}"
        whole = (label.removeprefix("-").isdecimal() for label in bins.bins[:-2])
        if columns.task is None and all(whole):
            yield "if they are values of a regressor, use --task regression"
    else:
        yield f"predictions in {columns.prediction} are numbers in {len(bins.bins) - 3} bins"
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
    if columns.truth is None:
        yield "without --truth there is no accuracy or error to compare later labels with"
