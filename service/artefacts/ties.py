"""Rows at which a model's prediction jumps: where real values lie, and where two forms of a model part.

Nothing of the model's structure is read. Between two values of one feature at which the prediction differs
there is a jump; bisection follows it down to two neighbours in float64. So jumps of trees are found behind
any scaler or imputer, and those of bins, neighbours or rounding, too. A form that jumps one float64 earlier
or later differs at one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from timeit import repeat
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.service.artefacts.synthetic_rows import within
from tidegate.service.model.features import Feature, Matrix

ROUNDS: Final = 3
"""Rounds of bisection: the rows of the later ones have values at the jumps of the earlier ones."""
ROWS: Final = (20, 500)
"""The smallest and the largest number of rows in a round. Of a forest of 2,000 trees (40 of 5,000 rows, 26
levels deep, each 50 times) `rows_at_ties` with 20 rows took 25 s of CPU, 6 ms a row (2026-12-01); each
finds its jump as one of 500 does."""
SECONDS: Final = 3.0
"""About how long all rounds may take; a slow model is asked for fewer rows."""
MEASURED_ROWS: Final = 100
TRIES: Final = 3
"""Measurements of that time, with so many rows: a busy machine may interrupt any."""
STEPS: Final = 64
"""The bits of a float64."""
REACH: Final = (-2, 7)
"""Powers of ten: how far around a row's value a jump is looked for."""
DECIMALS: Final = 4

Values = npt.NDArray[np.float64]


def rows_at_ties(
    answers: Callable[[Matrix], npt.NDArray[Any]],
    features: Sequence[Feature],
    base: Matrix,
    tolerance: float,
) -> Matrix:
    """Rows near `base` with one value next to a jump of the answers by more than `tolerance`.

    The value is the last one before the jump and the first one after it, and these rounded to float32 and its
    neighbours, and to some decimals. Always the same rows for a model that is quick enough. The answers have
    the shape [rows, answers].
    """
    numeric = [i for i, feature in enumerate(features) if not feature.is_string]
    if not numeric:
        return base[:0]
    random = np.random.default_rng(0)
    pools: dict[int, Values] = {}
    found = [base[:0].astype(np.float64)]
    some = base[:MEASURED_ROWS]
    seconds_per_row = min(repeat(lambda: answers(some), number=1, repeat=TRIES)) / len(some)
    count = int(np.clip(SECONDS / (ROUNDS * STEPS * seconds_per_row), *ROWS))
    for _ in range(ROUNDS):
        rows = base[random.integers(len(base), size=count)].astype(np.float64)
        for column, pool in pools.items():
            picked = random.random(count) < 0.5
            rows[picked, column] = random.choice(pool, picked.sum())
        columns = random.choice(numeric, count)

        def answer(values: Values, rows: Values = rows, columns: Any = columns) -> Any:
            return answers(_with(rows, columns, values))

        ends = _brackets(rows, columns, features, random)
        at, before, after = _jumps(answer, *ends, tolerance=tolerance, random=random)
        for column in np.unique(columns[at]).tolist():
            mine = columns[at] == column
            near = [within(features[column], each) for each in _near(before[mine], after[mine])]
            for values in near:
                placed = rows[at[mine]]
                placed[:, column] = values
                found.append(placed)
            pools[column] = np.concatenate([*near, pools.get(column, before[:0])])
    return np.unique(np.concatenate(found), axis=0)


def _brackets(
    rows: Values,
    columns: npt.NDArray[np.intp],
    features: Sequence[Feature],
    random: np.random.Generator,
) -> list[Values]:
    """Two values of each row's column between which a jump is looked for."""
    center = np.nan_to_num(rows[np.arange(len(rows)), columns])
    reach = 10.0 ** random.uniform(*REACH, len(rows))
    ends = [center - reach, center + reach]
    for column in np.unique(columns):
        mine = columns == column
        for end in ends:
            end[mine] = within(features[column], end[mine])
    return ends


def _with(rows: Values, columns: npt.NDArray[np.intp], values: Values) -> Values:
    filled = rows.copy()
    filled[np.arange(len(rows)), columns] = values
    return filled


def _jumps(
    answer: Callable[[Values], npt.NDArray[Any]],
    before: Values,
    after: Values,
    *,
    tolerance: float,
    random: np.random.Generator,
) -> tuple[npt.NDArray[np.intp], Values, Values]:
    """Bisect between values; returns where a jump was found, and the values before and after it.

    Every other row follows the half that differs more, or a slope beside a jump would lead it away; the rest
    follow either, or only the largest jumps would be found.
    """

    def apart(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(np.abs(one - other).max(axis=1))

    low, high = _place(before), _place(after)
    left, right = answer(before), answer(after)
    steep = np.arange(len(low)) % 2 == 0
    for _ in range(STEPS):
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        between = answer(_value(middle))
        at_left, at_right = apart(left, between), apart(between, right)
        either = np.where(steep, at_right > at_left, random.random(len(low)) < 0.5)
        is_right = (at_right > tolerance) & (~(at_left > tolerance) | either)
        low, high = np.where(is_right, middle, low), np.where(is_right, high, middle)
        left = np.where(is_right[:, None], between, left)
        right = np.where(is_right[:, None], right, between)
    at = np.flatnonzero(apart(left, right) > tolerance)
    return at, _value(low[at]), _value(high[at])


def _near(before: Values, after: Values) -> list[npt.NDArray[Any]]:
    narrow = before.astype(np.float32)
    return [
        *(before, after, narrow, np.floor(before), np.ceil(after)),
        *(np.nextafter(narrow, np.float32(end)) for end in (-np.inf, np.inf)),
        *(np.round(before, decimals) for decimals in range(DECIMALS)),
    ]


def _place(values: Values) -> npt.NDArray[np.int64]:
    """The position of each value in the order of all float64: neighbours are one apart (IEEE 754)."""
    bits = (values + 0.0).view(np.int64)
    return np.where(bits < 0, -(bits & np.iinfo(np.int64).max), bits)


def _value(places: npt.NDArray[np.int64]) -> Values:
    bits = np.where(places < 0, -places | np.iinfo(np.int64).min, places)
    return bits.astype(np.int64).view(np.float64)
