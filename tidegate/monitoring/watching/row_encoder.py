"""Rows of any type as the matrix that is counted in the bins of a reference. Nothing in a row is an error.

The application has already accepted the row. So an unknown category counts as `other`, a value of a wrong
type as `missing`, and a column that the reference does not have is ignored; a column that is missing, or
unknown, is reported once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.monitoring.counting.label_text import label_text
from tidegate.monitoring.counting.reference import FeatureReference
from tidegate.monitoring.tasks.answers import finite, items, numbers
from tidegate.monitoring.watching.table import FEW_ROWS, Table

Floats = npt.NDArray[np.float64]

_SCALARS: Final = (str, int, float, np.generic)


class RowEncoder:
    """Encodes rows for the features of a reference; warns once of unknown and once of missing columns."""

    def __init__(self, features: Sequence[FeatureReference], warn: Callable[[str], None]) -> None:
        self._names = tuple(feature.name for feature in features)
        self._features = [(feature.name, _codes(feature)) for feature in features]
        self._warn = warn
        self._warned: set[str] = set()
        # The last code is of other categories: no bin has this name.
        self.categories: Final = [
            () if feature.kind != "category" else (*feature.bins[:-2], "\0other")
            for feature in features
        ]

    def encode(self, table: Table) -> Floats:
        """A row per row and a column per feature: the number, or the index of the category; NaN if missing.

        Raises:
            ValueError: it has no names, and another number of columns than the reference.
        """
        if not len(table):
            return np.empty((0, len(self._names)))
        if table.names is None and table.width != len(self._names):
            raise ValueError(
                f"the rows have {table.width} columns without names, and the reference "
                f"{len(self._names)} features: {', '.join(self._names)}"
            )
        if table.names is not None:
            self._check(table.names)
        if table.rows is not None and len(table) <= FEW_ROWS:
            return self._encode_few(table.rows)
        matrix = np.empty((len(table), len(self._names)))
        for position, (name, codes) in enumerate(self._features):
            column = table.column(name, position)
            if column is None:
                matrix[:, position] = np.nan
            elif codes is None:
                matrix[:, position] = numbers(column)
            else:
                matrix[:, position] = [_code(value, codes) for value in items(column)]
        return matrix

    def _encode_few(self, rows: Sequence[Mapping[str, Any]]) -> Floats:
        # numpy's calls cost more than a few values do.
        values: list[float] = []
        for row in rows:
            for name, codes in self._features:
                value = row.get(name)
                if codes is None:
                    values.append(finite(value))
                elif type(value) is str:
                    values.append(codes.get(value, len(codes)))
                else:
                    values.append(_code(value, codes))
        return np.array(values, np.float64).reshape(len(rows), -1)

    def segments(self, table: Table, names: Sequence[str]) -> dict[str, list[str | None]]:
        """The values of the named categorical features, one per row; None if missing."""
        found: dict[str, list[str | None]] = {}
        for position, (name, codes) in enumerate(self._features):
            if codes is None or name not in names:
                continue
            column = table.column(name, position)
            if column is not None:
                found[name] = [_text(value) for value in items(column)]
        return found

    def _check(self, names: frozenset[str]) -> None:
        for what, found, effect in (
            ("unknown", names.difference(self._names), "is ignored"),
            ("missing", set(self._names) - names, "counts as missing"),
        ):
            if found and what not in self._warned:
                self._warned.add(what)
                listed = ", ".join(sorted(map(str, found))[:20])
                self._warn(
                    f"columns of the rows differ from the reference: {listed} ({what}) {effect}"
                )


def _codes(feature: FeatureReference) -> dict[str, int] | None:
    if feature.kind != "category":
        return None
    return {name: code for code, name in enumerate(feature.bins[:-2])}


def _code(value: Any, codes: dict[str, int]) -> float:
    if type(value) is str:
        return codes.get(value, len(codes))
    if not isinstance(value, _SCALARS):
        return np.nan
    text = label_text(value)
    if text is None:
        return np.nan
    # A number that is no category is of a wrong type; a text is an unknown category.
    return codes.get(text, len(codes) if isinstance(value, str) else np.nan)


def _text(value: Any) -> str | None:
    return label_text(value) if isinstance(value, _SCALARS) else None
