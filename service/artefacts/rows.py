"""The optional CSV file of rows beside a model file: `wine.csv` for `wine.joblib`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import infer_dtype

from tidegate.service.artefacts.reference import observed
from tidegate.service.artefacts.schema_file import TARGET_COLUMNS, ModelSchema
from tidegate.service.artefacts.source_model import Texts
from tidegate.service.model.artefact import ArtefactError
from tidegate.service.model.features import MAX_ROWS, Feature, Matrix, Schema
from tidegate.service.model.signature import Signature
from tidegate.service.request_errors import RequestError

BOOLEANS = {"True": "1", "False": "0", "true": "1", "false": "0"}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file."""

    features: tuple[Feature, ...]
    """With their ranges in the file, and missing if the file has missing values."""
    matrix: Matrix
    texts: Texts
    truth: npt.NDArray[Any] | None
    """The index of the true class, or the true value, per row, NaN where it is unknown; None without it."""


def names_from_header(file: Path, signature: Signature, schema: ModelSchema) -> Signature:
    """The features of a model without names, named by the columns of a CSV file in their order.

    Raises:
        ArtefactError: the columns, without those of the truth, are not as many as the features, or the
            file cannot be read.
    """
    features = signature.features
    header = _read_csv(file, nrows=0).columns
    if all(feature.name in header for feature in features):
        return signature
    columns = [name for name in header if name not in _truth_names(schema)]
    if len(columns) != len(features):
        raise ArtefactError(
            f"{file} has {len(columns)} columns for features, and the model has {len(features)} features "
            "without names: write a schema.toml beside the model that lists its [[features]] in their order"
        )
    named = tuple(
        feature.model_copy(update={"name": name})
        for feature, name in zip(features, columns, strict=True)
    )
    return signature.model_copy(update={"features": named})


def _truth_names(schema: ModelSchema) -> tuple[str, ...]:
    return (schema.target.name,) if schema.target else TARGET_COLUMNS


def _read_csv(file: Path, **options: Any) -> pd.DataFrame:
    try:
        table: pd.DataFrame = pd.read_csv(file, **options)
    except (ValueError, pd.errors.ParserError) as error:  # UnicodeDecodeError is a ValueError
        raise ArtefactError(f"{file} is not a readable CSV file: {error}") from error
    return table


def read_rows(file: Path, signature: Signature, schema: ModelSchema) -> Rows:
    """Read rows of a model's features, and the truth if there is a column for it.

    That is `target.name` of the schema, else `target` or `label`.

    Raises:
        ArtefactError: a column is missing, or a value does not fit the model.
    """
    names = [feature.name for feature in signature.features]
    texts = {feature.name: str for feature in signature.features if feature.is_string}
    candidates = _truth_names(schema)
    truths = dict.fromkeys(set(candidates) - set(names), str)
    table = _read_csv(file, dtype={**texts, **truths})
    if missing := [name for name in names if name not in table.columns]:
        raise ArtefactError(f"{file} has no column {', '.join(missing)}")
    if table.empty:
        raise ArtefactError(f"{file} has no rows")
    features = []
    for feature in signature.features:
        column = table[feature.name]
        is_boolean = feature.kind == "number" and infer_dtype(column) == "boolean"
        if not feature.is_string:
            table[feature.name] = _numbers(file, column)
        update = {
            "kind": "boolean" if is_boolean else feature.kind,
            "missing": feature.missing or bool(column.isna().any()),
        }
        features.append(feature.model_copy(update=update))
    columns = [name for name in candidates if name in table.columns and name not in names]
    truth = _truth(file, table[columns[0]], signature) if columns else None
    matrix = _encode(features, table, file)
    columns_of_text = {
        feature.name: table[feature.name].astype(object).where(table[feature.name].notna(), None)
        for feature in features
        if feature.kind == "text"
    }
    return Rows(
        observed(features, matrix),
        matrix,
        {name: column.tolist() for name, column in columns_of_text.items()},
        truth,
    )


def _numbers(file: Path, column: pd.Series[Any]) -> pd.Series[Any]:
    """A column as float64. pandas reads all values of a column as strings if one of them is no number."""
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    wrong = np.flatnonzero(numbers.isna() & column.notna())
    if wrong.size:
        value = column.iloc[wrong[0]]
        raise ArtefactError(
            f"{file} does not fit the model: {wrong[0]}.{column.name}: Input should be a number, "
            f'got {value!r}: in a schema.toml beside the model, give it `categories`, or kind = "text"'
        )
    return numbers


def _encode(features: Sequence[Feature], table: pd.DataFrame, file: Path) -> Matrix:
    schema = Schema(features, np.float64)
    names = [feature.name for feature in features]
    values = table[names].astype(object).where(table[names].notna(), None)
    blocks: list[Matrix] = []
    for start in range(0, len(values), MAX_ROWS):
        block = values.iloc[start : start + MAX_ROWS]
        try:
            columns = [block[name].tolist() for name in names]
            blocks.append(schema.encode_columns(columns, (str(file),)))
        except RequestError as problem:
            after = f" (counted from row {start})" if start else ""
            reason = f"{problem.details[0]}{after}"
            raise ArtefactError(f"{file} does not fit the model: {reason}") from problem
    return np.concatenate(blocks)


def _truth(file: Path, column: pd.Series[Any], signature: Signature) -> npt.NDArray[np.float64]:
    """The index of the class, or the value, per row; NaN where it is missing."""
    known = column.notna()
    if signature.task == "regression":
        values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
        wrong = known & ~np.isfinite(values)
        if wrong.any():
            raise ArtefactError(
                f"{file}: {column[wrong].iloc[0]!r} in the column {column.name} is not a number"
            )
        return values
    indices = {str(label): float(index) for index, label in enumerate(signature.classes)}
    found = column.map(lambda text: _class_index(str(text), indices), na_action="ignore")
    wrong = known & found.isna()
    if wrong.any():
        raise ArtefactError(
            f"{file}: {column[wrong].iloc[0]!r} in the column {column.name} is no class of the model; its "
            f"classes are {', '.join(list(indices)[:20])}"
        )
    return found.to_numpy(dtype=np.float64)


def _class_index(text: str, indices: dict[str, float]) -> float:
    """The index of a class by its text, also as pandas writes integers (1.0) and booleans (True)."""
    for form in (text, text.removesuffix(".0"), BOOLEANS.get(text, "")):
        if form in indices:
            return indices[form]
    return float("nan")
