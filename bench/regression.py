"""False alarms and detection delay of the alerts about the errors of a regressor.

`null`: 72 simulated hours of labels whose errors are distributed as those of the held-out rows, which are
themselves drawn. The rules are evaluated every 15 s over 5 minutes, an hour and a day, as Prometheus does.
`shift`: all errors grow by a factor; how long until ModelErrorRisen fires.

    python bench/regression.py null --hours 72 --seeds 20
    python bench/regression.py shift --seeds 20
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tidegate.settings import Drift

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

STEP: Final = 15  # seconds between two evaluations of a rule
TILE: Final = 300 // STEP
WINDOWS: Final = {"5m": TILE, "1h": 12 * TILE, "1d": 288 * TILE}
COVERAGE: Final = 0.9
HELD_OUT_ROWS: Final = 2000
DRIFT: Final = Drift()
# The lightest and the heaviest tails for which the mean of |error|² exists, and some between them.
RESIDUALS: Final[Mapping[str, Callable[[np.random.Generator, int], Floats]]] = {
    "normal": lambda random, size: random.normal(size=size),
    "Laplace": lambda random, size: random.laplace(size=size),
    "Student's t, 3 degrees of freedom": lambda random, size: random.standard_t(3, size),
    "log-normal, sigma = 1.5": lambda random, size: random.lognormal(0, 1.5, size),
    "Pareto, alpha = 2.2": lambda random, size: random.pareto(2.2, size),
}


@dataclass(frozen=True)
class HeldOut:
    """What a reference holds of its held-out rows: of |error|, and of the calibrated interval."""

    rows: int
    error: float
    deviation: float
    half_width: float
    coverage: float

    @classmethod
    def of(cls, residuals: Floats) -> HeldOut:
        """The interval is calibrated on one half of the rows, and its coverage is that of the other."""
        errors = np.abs(residuals)
        half = len(errors) // 2
        width = float(np.quantile(errors[:half], COVERAGE, method="higher"))
        coverage = float((errors[half:] <= width).mean())
        return cls(len(errors), float(errors.mean()), float(errors.std()), width, coverage)


@dataclass(frozen=True)
class WindowValues:
    """The values of the rules over one window, at each evaluation; NaN with too few labels."""

    rise: Floats
    z: Floats
    plain_z: Floats
    """z with the deviation of the held-out rows alone, as if their mean were exact."""
    coverage_drop: Floats
    coverage_z: Floats


def evaluate(
    residuals: Floats, counts: npt.NDArray[np.int64], held_out: HeldOut
) -> dict[str, WindowValues]:
    """The values of the rules, by window.

    Args:
        residuals: of all labels, in the order of their arrival.
        counts: the number of labels in each interval of 15 s.
        held_out: the reference.
    """
    errors, steps = np.abs(residuals), np.repeat(np.arange(len(counts)), counts)
    columns = (np.ones(len(errors)), errors, errors**2, errors <= held_out.half_width)
    sums = np.stack([np.bincount(steps, column, len(counts)) for column in columns])
    totals = np.concatenate([np.zeros((len(columns), 1)), sums.cumsum(axis=1)], axis=1)
    return {name: _values(totals, length, held_out) for name, length in WINDOWS.items()}


def _values(totals: Floats, length: int, held_out: HeldOut) -> WindowValues:
    now = np.arange(1, totals.shape[1])
    # Longer windows consist of tiles, so they end with the last one.
    end = now if length == TILE else now // TILE * TILE
    n, absolute, squared, inside = totals[:, end] - totals[:, np.maximum(0, end - length)]
    n = np.where(n >= DRIFT.outcomes, n, np.nan)
    mean, coverage = absolute / n, inside / n
    variance = np.maximum(squared / n - mean**2, held_out.deviation**2)
    drop = held_out.coverage - coverage
    with np.errstate(divide="ignore", invalid="ignore"):
        return WindowValues(
            rise=mean / held_out.error - 1,
            z=(mean - held_out.error) / np.sqrt(variance * (1 / n + 1 / held_out.rows)),
            plain_z=(mean - held_out.error) / (held_out.deviation / np.sqrt(n)),
            coverage_drop=drop,
            coverage_z=drop / np.sqrt(coverage * (1 - coverage) * (1 / n + 2 / held_out.rows)),
        )


def firing(values: Mapping[str, WindowValues]) -> dict[str, Flags]:
    """Whether the condition of each alert holds, at each evaluation."""
    day, recent = values["1d"], (values["5m"], values["1h"])
    significant = day.z > DRIFT.error_z
    return {
        "ModelErrorWarning": (day.rise > DRIFT.error_rise_warning) & significant,
        "ModelErrorCritical": (day.rise > DRIFT.error_rise_critical) & significant,
        "ModelErrorRisen": np.any([each.z > DRIFT.error_z for each in recent], axis=0),
        "ModelCoverageLow": (day.coverage_drop > DRIFT.accuracy_drop_warning)
        & (day.coverage_z > DRIFT.error_z),
    }


def simulate(
    name: str,
    *,
    hours: float,
    per_second: float,
    seed: int,
    factor: float = 1.0,
    hours_before: float = 0.0,
) -> dict[str, WindowValues]:
    """The values of the rules for labels whose errors have become `factor` times those of the held-out rows.

    Args:
        name: a key of `RESIDUALS`.
        hours: length of the simulation.
        per_second: labels per second.
        seed: of the held-out rows and of the labels.
        factor: by which the errors are multiplied.
        hours_before: until then they are those of the held-out rows.
    """
    random = np.random.default_rng(seed)
    held_out = HeldOut.of(RESIDUALS[name](random, HELD_OUT_ROWS))
    numbers = random.poisson(per_second * STEP, round(hours * 3600 / STEP))
    residuals = RESIDUALS[name](random, int(numbers.sum()))
    residuals[int(numbers[: round(hours_before * 3600 / STEP)].sum()) :] *= factor
    return evaluate(residuals, numbers, held_out)


def episodes(flags: Flags) -> int:
    """How often the condition begins to hold."""
    return int(np.count_nonzero(np.diff(flags.astype(int), prepend=0) == 1))


def counts(found: list[int]) -> str:
    """The sum over all runs, and in how many of them there was any."""
    runs = sum(1 for each in found if each)
    return f"{sum(found)} (in {runs} of {len(found)} runs)" if runs else "0"


def null(hours: int, seeds: int) -> None:
    """Print the false alarms, of all seeds together."""
    alerts = ("ModelErrorWarning", "ModelErrorCritical", "ModelErrorRisen", "ModelCoverageLow")
    print(
        f"| errors | labels a second | {' | '.join(alerts)} | largest z | ModelErrorRisen with the plain z |"
    )
    print("| --- | ---: |" + " ---: |" * (len(alerts) + 2))
    for name in RESIDUALS:
        for per_second in (1.2, 3.0):
            found: dict[str, list[int]] = {alert: [] for alert in alerts}
            largest, plain = 0.0, 0
            for seed in range(seeds):
                values = simulate(name, hours=hours, per_second=per_second, seed=seed)
                for alert, flags in firing(values).items():
                    found[alert].append(episodes(flags))
                recent = [values[window] for window in ("5m", "1h")]
                largest = max(largest, *(float(np.nanmax(each.z)) for each in recent))
                plain += episodes(np.any([each.plain_z > DRIFT.error_z for each in recent], axis=0))
            cells = " | ".join(counts(found[alert]) for alert in alerts)
            print(f"| {name} | {per_second:g} | {cells} | {largest:.1f} | {plain} |")


def shift(seeds: int) -> None:
    """Print how many minutes after the errors have grown ModelErrorRisen fires."""
    before, hours = 2, 8
    print("| errors | 1.25 times: median, longest (min) | 1.5 times | 2 times |")
    print("| --- | ---: | ---: | ---: |")
    for name in RESIDUALS:
        cells = []
        for factor in (1.25, 1.5, 2.0):
            minutes = []
            for seed in range(seeds):
                values = simulate(
                    name, hours=hours, per_second=3, seed=seed, factor=factor, hours_before=before
                )
                fires = firing(values)["ModelErrorRisen"][before * 3600 // STEP :]
                minutes.append((np.argmax(fires) + 1) * STEP / 60 if fires.any() else np.inf)
            cells.append(f"{delay(np.median(minutes))}, {delay(max(minutes))}")
        print(f"| {name} | {' | '.join(cells)} |")


def delay(minutes: float) -> str:
    """A number of minutes; infinite if the alert never fired."""
    return f"{minutes:.2f}" if np.isfinite(minutes) else "never"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("null", "shift"))
    parser.add_argument("--hours", type=int, default=72)
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    print(
        f"{dt.datetime.now(dt.UTC).date()}, Python {platform.python_version()}, {platform.machine()}, "
        f"{os.cpu_count()} cores; {arguments.seeds} seeds, {HELD_OUT_ROWS} held-out rows\n"
    )
    if arguments.part in (None, "null"):
        null(arguments.hours, arguments.seeds)
        print()
    if arguments.part in (None, "shift"):
        shift(arguments.seeds)


if __name__ == "__main__":
    main()
