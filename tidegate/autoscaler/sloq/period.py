"""The period of rates that repeat, by the autocorrelation of their logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from operator import mul
from typing import Final

# Half of the values are compared with the other half, and fewer may be alike by chance.
MIN_VALUES: Final = 20
# Repeating rates are correlated at their period, and less so at some shorter lag.
MIN_CORRELATION: Final = 0.5
DIP: Final = 0.3
# Multiples of the period are about as good as the period itself.
AS_GOOD: Final = 0.1
MAX_MULTIPLE: Final = 4


def find_period(rates: Sequence[float], *, shortest: int, before: float = 0.0) -> float:
    """The period after which rates repeat, at most half of their number; 0: they do not.

    Logarithms (of 1 + rate, for rates near 0) keep a single large burst from outweighing all others. The
    search is for pairs of values, by their maximum, which takes a quarter of the time. Then single values
    refine the period, and further multiples of it show the fraction that remains. A multiple of the period
    may be found instead, which only takes longer to be proved.

    Args:
        rates: of intervals of equal length.
        shortest: the shortest period to find, in intervals.
        before: the last period found, in intervals, which is kept if it is about as good; 0: none.
    """
    if len(rates) < MIN_VALUES:
        return 0.0
    levels = [math.log1p(rate) for rate in rates]
    odd = len(levels) % 2
    pairs = _centred([max(two) for two in zip(levels[odd::2], levels[odd + 1 :: 2], strict=True)])
    lag = _best_lag(_correlations(pairs, len(pairs) // 2), math.ceil(shortest / 2), before / 2)
    if not lag:
        return 0.0
    if not _same(lag, before / 2):
        lag = _divided(levels, 2 * lag, shortest)
    else:
        lag *= 2
    return _refined(_centred(levels), lag)


def _divided(levels: list[float], lag: int, shortest: int) -> int:
    """The lag, or a part of it that is about as good: pairs do not show an odd period.

    The maximum of three values blurs what is not at whole intervals.
    """
    values = _centred([max(levels[at : at + 3]) for at in range(len(levels))])
    squares = _squares(values)
    least = _correlation(values, squares, lag) - AS_GOOD
    for parts in (3, 2):
        part = _best_near(values, round(lag / parts), 1)
        if part >= shortest and _correlation(values, squares, part) >= least:
            return part
    return lag


def _best_lag(found: list[float], shortest: int, before: float) -> int:
    """The shortest lag that is about as good as the best; 0 if none is good.

    Args:
        found: the correlations at the lags 0, 1, 2 and so on.
        shortest: the shortest lag to find.
        before: the last one, which is preferred, and may be less good.
    """
    lowest, good = 1.0, dict[int, float]()
    for lag, (left, here) in enumerate(pairwise(found[:-1]), 1):
        lowest = min(lowest, here)
        least = MIN_CORRELATION - (AS_GOOD if _same(lag, before) else 0.0)
        peak = left <= here > found[lag + 1]
        if lag >= shortest and peak and here >= max(least, lowest + DIP):
            good[lag] = here
    best = max(good.values(), default=0.0)
    as_good = [lag for lag, value in good.items() if value >= best - AS_GOOD]
    return next((lag for lag in as_good if _same(lag, before)), as_good[0] if as_good else 0)


def _same(lag: int, before: float) -> bool:
    return before > 0 and abs(lag - before) <= 1


def _refined(values: list[float], lag: int) -> float:
    """The period near a lag: the best whole one, then with the fraction that its multiples show."""
    period = float(_best_near(values, lag, 2))
    for multiple in range(2, min(MAX_MULTIPLE, len(values) // round(period) - 1) + 1):
        period = _best_near(values, round(period * multiple), 1) / multiple
    return period


def _best_near(values: list[float], lag: int, by: int) -> int:
    squares = _squares(values)
    near = range(max(1, lag - by), min(len(values) - 1, lag + by) + 1)
    return max(near, key=lambda one: _correlation(values, squares, one), default=lag)


def _correlations(values: list[float], most: int) -> list[float]:
    squares = _squares(values)
    return [_correlation(values, squares, lag) for lag in range(most + 1)]


def _correlation(values: list[float], squares: list[float], lag: int) -> float:
    """Of the values with those `lag` later."""
    both = squares[len(values) - lag] * (squares[-1] - squares[lag])
    return sum(map(mul, values, values[lag:])) / math.sqrt(both) if both > 0 else 0.0


def _squares(values: list[float]) -> list[float]:
    """The sums of the first squares."""
    return [0.0, *accumulate(value * value for value in values)]


def _centred(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]
