"""What each way of scaling in Kubernetes does when a signal, a component or the API server fails.

All ways run side by side in one cluster (tests/support/kubernetes/faults), each with its own Deployment, on
the same load. One fault after another is injected, for all of them at the same time. No replica may be taken,
except in the last row, where the load truly falls. Needs root, and what `scripts/kubernetes build` builds;
`scripts/kubernetes prometheus-adapter` for the HPA without KEDA.

    python -m bench.kubernetes_faults --seconds 45 --out faults.md
    python -m bench.kubernetes_faults --faults nan api --columns resizer
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from bench.results import Result, result, save  # noqa: E402
from support.kubernetes.faults import arrangement, report  # noqa: E402
from support.kubernetes.faults.cells import FAULTS, Cell, Fault, inject  # noqa: E402
from support.kubernetes.faults.columns import COLUMNS, HPA, Column  # noqa: E402


def main() -> int:
    """Run and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=45.0, help="the duration of each fault")
    parser.add_argument("--faults", nargs="+", choices=[one.key for one in FAULTS])
    parser.add_argument("--columns", nargs="+", choices=[one.key for one in COLUMNS])
    parser.add_argument("--out", type=Path, help="write the table to this Markdown file, too")
    parser.add_argument("--keep", type=Path, help="keep logs and data in this new folder")
    chosen = parser.parse_args()
    faults = [one for one in FAULTS if not chosen.faults or one.key in chosen.faults]
    columns = tuple(one for one in COLUMNS if not chosen.columns or one.key in chosen.columns)
    if absent := arrangement.absent(columns):
        sys.exit(f"not built: {', '.join(absent)} (run scripts/kubernetes and scripts/prometheus)")
    cells = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep.absolute() if chosen.keep else Path(temporary) / "cluster"
        folder.mkdir(parents=True)
        with arrangement.running(folder, columns) as running:
            for fault in faults:
                found = inject(running, fault, fault.seconds(chosen.seconds))
                for cell in found:
                    print(f"{fault.title}, {cell.column}: {report.change(cell)}", flush=True)
                cells += found
    machine = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores"
    text = report.markdown(cells, faults, columns, seconds=chosen.seconds, machine=machine)
    print(text)
    if chosen.out:
        chosen.out.write_text(text)
    whole = not chosen.faults and not chosen.columns
    save("kubernetes_faults", results_of(cells, faults, columns), whole=whole)
    return 1 if report.lost(cells, faults, columns) else 0


def results_of(
    cells: Sequence[Cell], faults: Sequence[Fault], columns: Sequence[Column]
) -> list[Result]:
    """How often each way took a replica though it may not, beside the plain HPA if that was run."""
    harmful = {one.key for one in faults if one.harmful}

    def losses(column: Column) -> list[float]:
        return [
            float(
                sum(
                    one.column == column.key and not one.held
                    for one in cells
                    if one.fault in harmful
                )
            )
        ]

    return [
        result(
            f"{column.title}: faults in which it took a replica",
            losses(column),
            losses(HPA) if HPA in columns and column is not HPA else None,
            unit=f"of {len(harmful)}",
            target=0.0 if column.ours else None,
        )
        for column in columns
    ]


if __name__ == "__main__":
    sys.exit(main())
