"""Rows of any type as a table: a number of rows, and columns by name or position."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

FEW_ROWS: Final = 8
"""Up to this number, Python is faster than numpy: one row of 15 features takes 3 µs and not 13."""
Column = Sequence[Any]


@dataclass(slots=True)
class Table:
    """A table of rows."""

    length: int
    names: frozenset[str] | None
    """The names of the columns; None if they have none."""
    column: Callable[[str, int], Any]
    """The column of a name and a position; None if there is none."""
    width: int = 0
    """The number of columns, if they have no names."""
    rows: Sequence[Mapping[str, Any]] | None = None
    """The rows as mappings, if there are few of them or they are given so."""

    def __len__(self) -> int:
        return self.length


def read_table(rows: object) -> Table:
    """The table of a list of dicts, a dict of columns, a DataFrame, or an array of two dimensions.

    Raises:
        ValueError: they are none of these, or the columns have different lengths.
    """
    if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
        return _of_frame(rows)
    if isinstance(rows, Mapping):
        return _of_columns(rows)
    if isinstance(rows, str | bytes) or not hasattr(rows, "__len__"):
        raise ValueError(f"rows should be {_EXPECTED}, got {type(rows).__name__}")
    if isinstance(rows, Sequence) and rows and all(isinstance(row, Mapping) for row in rows):
        return _of_dicts(rows)
    return _of_array(rows)


def _of_frame(frame: Any) -> Table:
    names = frozenset(map(str, frame.columns))
    of = {str(name): name for name in frame.columns}
    return Table(
        len(frame),
        names=names,
        column=lambda name, _: frame[of[name]] if name in names else None,
    )


def _of_columns(columns: Mapping[str, Any]) -> Table:
    lengths: dict[str, int] = {}
    for name, column in columns.items():
        if isinstance(column, str | bytes) or not hasattr(column, "__len__"):
            raise ValueError(
                f"column {name} should be a list or an array of its values in all rows, got "
                f"{type(column).__name__}; for a single row pass a list of one dict"
            )
        lengths[str(name)] = len(column)
    if len(set(lengths.values())) > 1:
        (first, count), *others = lengths.items()
        name, other = next(item for item in others if item[1] != count)
        raise ValueError(f"column {first} has {count} values and column {name} {other}")
    length = next(iter(lengths.values()), 0)
    few = length <= FEW_ROWS and all(type(column) is list for column in columns.values())
    return Table(
        length,
        names=frozenset(lengths),
        column=lambda name, _: columns.get(name),
        rows=[dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        if few
        else None,
    )


def _of_dicts(rows: Sequence[Mapping[str, Any]]) -> Table:
    # Rows may have different keys; looking at each of them would cost more than counting them.
    names = frozenset(rows[0]).union(rows[-1])
    return Table(
        len(rows), names=names, column=lambda name, _: [row.get(name) for row in rows], rows=rows
    )


def _of_array(rows: Any) -> Table:
    # A list may mix numbers and texts, which numpy would all make texts.
    array = np.asarray(rows, dtype=object) if isinstance(rows, list | tuple) else np.asarray(rows)
    if array.ndim != 2:
        if len(rows) == 0:
            return Table(0, names=frozenset(), column=lambda *_: None)
        raise ValueError(
            f"rows should be {_EXPECTED}, got {type(rows).__name__} of shape {np.shape(array)}"
        )
    return Table(
        len(array),
        names=None,
        width=array.shape[1],
        column=lambda _, position: array[:, position],
    )


_EXPECTED: Final = "a list of dicts, a dict of columns, a DataFrame or an array of two dimensions"
