"""Tidegate's PSI compared with Evidently's on the same rows: months of flights against the training window.

    python -m bench.evidently_psi --months 3 5 7 12

Evidently is not a dependency: the first run installs it in its own virtual environment in the cache. The
figures differ because the bins differ: Tidegate uses the deciles of the training window, and bins for missing
and out-of-range values; Evidently uses equal widths over both samples and omits missing values. So the
verdict is compared: PSI above 0.1 or not. The exit code is 1 if fewer than `MIN_AGREEMENT` of the verdicts
agree. Needs `tidegate train`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.engines.environments import installed
from bench.results import result, save
from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.drift_test import psi
from tidegate.monitoring.counting.reference import load_reference
from tidegate.service.model.artefact import REFERENCE, load
from tidegate.service.training import flights as dataset
from tidegate.service.training import forest

ARTEFACT = Path("artefacts/flights")
PINNED = ("evidently==0.7.23", "pandas<3")  # it cannot be imported with pandas 3
LIMIT = 0.1
MIN_AGREEMENT = 0.85
"""54 of 60 verdicts of four months agree; the others depend on the bins (docs/explanation/drift.md)."""
EVIDENTLY_SCRIPT = """
import json, sys
import pandas as pd
from evidently import Report
from evidently.metrics import ValueDrift
names, reference, *currents = json.loads(sys.argv[1])
read = lambda path: pd.read_csv(path, keep_default_na=True)
before = read(reference)
found = []
for current in currents:
    report = Report([ValueDrift(column=name, method="psi") for name in names])
    metrics = report.run(read(current), before).dict()["metrics"]
    found.append([float(metric["value"]) for metric in metrics])
print(json.dumps(found))
"""


def write(path: Path, features: Any, matrix: Any) -> str:
    """Write rows as CSV, categories by name."""
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([feature.name for feature in features])
        for row in matrix:
            out.writerow([_value(f, v) for f, v in zip(features, row, strict=True)])
    return str(path)


def _value(feature: Any, value: float) -> str:
    if np.isnan(value):
        return ""
    return str(feature.categories[int(value)]) if feature.kind == "category" else f"{value:.6g}"


def main() -> int:
    """Print a line for each feature. Returns 1 if too few verdicts agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--months", type=int, nargs="+", default=[3, 5, 7, 12])
    months = parser.parse_args().months
    features = load(ARTEFACT).manifest.features
    flights = dataset.read_flights()
    rows = forest.split(flights)
    before = flights.matrix[rows.fit | rows.held_out]
    after = [flights.matrix[flights.month == month] for month in months]

    reference = load_reference(ARTEFACT / REFERENCE)
    ours = []
    for matrix in after:
        counter = BinCounter(reference.features, [f.categories for f in features])
        counter.add(matrix)
        ours.append(
            [psi(c, r.counts) for c, r in zip(counter.counts(), reference.features, strict=True)]
        )

    with tempfile.TemporaryDirectory() as folder:
        files = [write(Path(folder) / "reference.csv", features, before)]
        files += [
            write(Path(folder) / f"{m}.csv", features, x)
            for m, x in zip(months, after, strict=True)
        ]
        arguments = json.dumps([[f.name for f in features], *files])
        done = subprocess.run(
            [
                *(installed("evidently", *PINNED) / "python", "-W", "ignore"),
                *("-c", EVIDENTLY_SCRIPT, arguments),
            ],
            env=os.environ | {"DO_NOT_TRACK": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    evidently = json.loads(done.stdout.splitlines()[-1])

    print(f"{'feature':12}" + "".join(f"{'month ' + str(month):>22}" for month in months))
    print(f"{'':12}" + f"{'Tidegate Evidently':>22}" * len(months))
    agreed = total = 0
    for index, feature in enumerate(features):
        cells = ""
        for mine, other in zip(ours, evidently, strict=True):
            agrees = (mine[index] > LIMIT) == (other[index] > LIMIT)
            agreed, total = agreed + agrees, total + 1
            cells += f"{mine[index]:>11.3f} {other[index]:>8.3f}{' ' if agrees else '*'} "
        print(f"{feature.name:12}{cells}")
    print(f"{agreed} of {total} verdicts at {LIMIT} agree; * marks the others")
    differ = result(
        f"verdicts of {len(months)} months on PSI above {LIMIT} that differ from Evidently's",
        [total - agreed],
        unit=f"of {total}",
        target=(1 - MIN_AGREEMENT) * total,
    )
    save("evidently_psi", [differ])
    return int(not differ.met)


if __name__ == "__main__":
    sys.exit(main())
