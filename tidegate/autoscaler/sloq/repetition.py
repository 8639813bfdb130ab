"""Traffic that repeats: a forecast from the periods before, used while its own back-test proves it.

The model is small: the rates of the last 50 minutes in bins of 15 s, and their period. Its forecasts are
compared with what came, whether they are used or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from tidegate.autoscaler.sloq.period import find_period

# At most that of a checked signal.
Rate = Annotated[float, Field(ge=0, le=1e9)]

BIN_SECONDS: Final = 15.0
MAX_BINS: Final = 200
# After a longer gap, the rates are collected anew.
MAX_GAP_BINS: Final = 4
SEARCH_SECONDS: Final = 30.0
MIN_PERIOD_SECONDS: Final = 60.0
MAX_PERIODS: Final = 4
MAX_FACTOR: Final = 1.5
# Beyond the horizon: a rate takes up to a bin to show a burst, which may be one early.
AHEAD_SECONDS: Final = 2 * BIN_SECONDS

MIN_RISE: Final = 1.1
CHANCE_SIGMAS: Final = 2.5
# A burst may be a bin late, and a rate takes a bin to show it.
LATE_SECONDS: Final = AHEAD_SECONDS + 2 * BIN_SECONDS
MAX_CASES: Final = 6
MIN_RIGHT: Final = 3
MIN_PRECISION: Final = 0.75


class Repetition(BaseModel):
    """What is known of traffic that repeats. Times are on the clock of the ticks."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    bins: tuple[Rate, ...] = ()
    """The arrival rates of intervals of 15 s, oldest first, to three digits."""
    end: float = 0.0
    """When the last of them ended."""
    period: Rate = 0.0
    """In seconds; 0: traffic does not repeat."""
    case: tuple[float, Rate, bool] | None = None
    """The last forecast that counts: when it is wrong at the latest, the rate at which it is right, and
    whether it is neither yet."""
    cases: tuple[bool, ...] = ()
    """Whether the last ones of this period were right, oldest first."""

    @property
    def proven(self) -> bool:
        """Whether the forecasts are used."""
        right = sum(self.cases)
        return self.period > 0 and right >= max(MIN_RIGHT, MIN_PRECISION * len(self.cases))


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What traffic should reach until shortly after the horizon because it repeats, in requests a second.

    Attributes:
        rate: reached in at least two of the last two to four periods: a burst that was not repeated is not
            expected again, and one that was left out is.
        high: to be prepared for: the largest of these periods, at most 1.5 times that.
    """

    rate: float = 0.0
    high: float = 0.0


def foresee(known: Repetition, now: float, horizon_seconds: float) -> Foreseen:
    """The forecast from the same phase of the last periods; 0 without a period."""
    if known.period < MIN_PERIOD_SECONDS:
        return Foreseen()
    begin = known.end - BIN_SECONDS * len(known.bins)
    largest = list[float]()
    for back in range(1, MAX_PERIODS + 1):
        first = (now - back * known.period - begin) / BIN_SECONDS
        if first < 0:
            break
        after = first + (horizon_seconds + AHEAD_SECONDS) / BIN_SECONDS
        largest.append(max(known.bins[math.floor(first) : math.ceil(after)], default=0.0))
    if len(largest) < 2:
        return Foreseen()
    rate, most = sorted(largest)[-2:]
    return Foreseen(rate, min(most, MAX_FACTOR * rate))


def clearly_above(rate: float, expected: float, peakedness: float) -> bool:
    """Whether a rate of 15 s exceeds the expected one by more than a tenth, and by more than chance."""
    chance = CHANCE_SIGMAS * math.sqrt(peakedness * rate / BIN_SECONDS)
    return rate > MIN_RISE * expected + chance


def learn_repetition(
    known: Repetition,
    rate_15s: float,
    now: float,
    *,
    foreseen: float,
    expected: float,
    horizon_seconds: float,
    peakedness: float,
    missed: bool = False,
) -> Repetition:
    """Add a rate, judge the forecasts that it decides, and look for the period.

    A forecast that clearly exceeds what is expected without it counts as one case until it is right: the rate
    covered half of the difference; or wrong: it did not in time. There is one case at a time, since the
    forecasts of one burst are all right or all wrong.

    Args:
        known: so far.
        rate_15s: the current rate, in requests a second.
        now: in seconds.
        foreseen: the forecast of this tick.
        expected: the rate expected until the horizon without it.
        horizon_seconds: how far ahead.
        peakedness: how much more variable arrivals are than Poisson ones.
        missed: whether the forecast did not cover the current rate, and what is used without it would have.
    """
    case, cases = known.case, known.cases
    if case and case[2] and (rate_15s >= case[1] or now >= case[0]):
        cases = (*cases, rate_15s >= case[1])[-MAX_CASES:]
        case = (case[0], case[1], False)
    if missed:
        # Replicas were missing, which is worse than some in vain.
        cases = ()
    if clearly_above(foreseen, expected, peakedness) and (case is None or now >= case[0]):
        case = (now + horizon_seconds + LATE_SECONDS, (expected + foreseen) / 2, True)

    bins, end = _with_rate(known, rate_15s, now)
    period = known.period
    if end // SEARCH_SECONDS != known.end // SEARCH_SECONDS:
        period = BIN_SECONDS * find_period(
            bins,
            shortest=math.ceil(MIN_PERIOD_SECONDS / BIN_SECONDS),
            before=period / BIN_SECONDS,
        )
        if abs(period - known.period) > BIN_SECONDS:
            case, cases = None, ()
    return known.model_copy(
        update={"bins": bins, "end": end, "period": period, "case": case, "cases": cases}
    )


def _with_rate(known: Repetition, rate_15s: float, now: float) -> tuple[tuple[float, ...], float]:
    """The bins, and their end, with those that have ended; the last rate stands for all of them."""
    end = now // BIN_SECONDS * BIN_SECONDS
    missing = round((end - known.end) / BIN_SECONDS)
    if known.bins and missing == 0:
        return known.bins, known.end
    # Three digits are enough, and the event of each decision has them all.
    rate = float(f"{rate_15s:.3g}")
    if not known.bins or not 0 < missing <= MAX_GAP_BINS:
        return (rate,), end
    return (*known.bins, *[rate] * missing)[-MAX_BINS:], end
