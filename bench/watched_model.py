"""The CPU time of `watch.observe` and `watch.outcome`, by the type of the rows and their number.

    python -m bench.watched_model --rounds 31

The reference has 12 numbers and 3 categories of 20 values, as many features as the flights have.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bench.results import result, save
from tidegate.monitoring.counting.category_bins import category_bins
from tidegate.monitoring.counting.number_bins import number_bins, predicted_value_bins
from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.counting.residuals import calibrate_residuals
from tidegate.monitoring.watching.watched_model import Host, WatchedModel
from tidegate.settings import Drift

NUMBERS, CATEGORIES = 12, 3
TRAINING = 5000
TARGET_US = 30.0


def make_table(count: int) -> pd.DataFrame:
    """Rows of the features."""
    random = np.random.default_rng(0)
    table: dict[str, Any] = {f"n{i}": random.normal(size=count) for i in range(NUMBERS)}
    for i in range(CATEGORIES):
        table[f"c{i}"] = [f"value-{code}" for code in random.integers(20, size=count)]
    return pd.DataFrame(table)


def make_model() -> WatchedModel:
    """A watched regressor with drift, expected error and interval."""
    table = make_table(TRAINING)
    random = np.random.default_rng(1)
    predicted = table["n0"].to_numpy()
    reference = Reference(
        samples=TRAINING,
        features=(
            *(number_bins(f"n{i}", table[f"n{i}"].to_numpy()) for i in range(NUMBERS)),
            *(category_bins(f"c{i}", table[f"c{i}"].tolist()) for i in range(CATEGORIES)),
        ),
        prediction=predicted_value_bins(predicted),
        residuals=calibrate_residuals(predicted, predicted + random.normal(size=TRAINING)),
    )
    host = Host(
        request_ids=lambda: ("a" * 32, "b" * 16),
        annotate=lambda **_: None,
        write_outcome=lambda *_: None,
        warn=print,
    )
    return WatchedModel(
        "m", "1", reference=reference, key=b"a key of enough bytes", drift=Drift(), host=host
    )


def microseconds(call: Callable[[], object], times: int) -> float:
    """CPU time of a call."""
    started = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - started) / times * 1e6


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    rounds: int = parser.parse_args().rounds
    watch = make_model()
    found = []
    for size in (1, 32, 256):
        table = make_table(size)
        predictions = table["n0"].tolist()
        forms: dict[str, object] = {
            "list of dicts": table.to_dict("records"),
            "dict of columns": {name: table[name].tolist() for name in table.columns},
            "DataFrame": table,
            "array": table.to_numpy(dtype=object),
            "no rows": None,
        }
        for form, rows in forms.items():
            observe = partial(watch.observe, rows, predictions)
            taken = [microseconds(observe, 2000 // size + 20) for _ in range(rounds)]
            target = TARGET_US if (size, form) == (1, "list of dicts") else None
            name = f"{size} row{'s' if size > 1 else ''}, {form}"
            found.append(result(name, taken, unit="µs", target=target))
    ids = iter([text for _ in range(rounds) for text in watch.observe(None, [0.5] * 1000)])
    labels = [microseconds(lambda: watch.outcome(next(ids), 0.75), 1000) for _ in range(rounds)]
    found.append(result("a label, without the write of its event", labels, unit="µs"))
    save("watched_model", found)


if __name__ == "__main__":
    main()
