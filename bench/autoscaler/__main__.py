"""Compare scaling policies on all traces with several seeds.

    python -m bench.autoscaler                            half an hour on two idle cores
    python -m bench.autoscaler --minutes 5                stops after five minutes
    python -m bench.autoscaler --continue --minutes 5     goes on where it stopped
    python -m bench.autoscaler --continue --minutes 0     only writes the page again

It prints its section of bench/RESULTS.md and writes it there, with as many seeds as are whole; it says how
many. Scores are kept by seed in the run folder; those of changed code or traces are simulated
again.
Ends with 2 if no seed is whole yet.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.autoscaler.cells import (
    BASELINES,
    POLICIES,
    SLOQ,
    Cell,
    cells_of,
    specs_of,
    trace_name,
)
from bench.autoscaler.comparison import Scores, results_of
from bench.autoscaler.page import page, sums, write_section
from bench.autoscaler.results import Results, run_cells
from bench.results import save
from tidegate.lab.simulator.comparison import PolicyResult, TraceSpec, mean_score, run_one
from tidegate.lab.simulator.plots import pareto_page, write_page
from tidegate.lab.simulator.score import Score
from tidegate.lab.simulator.system import System

ROOT: Final = Path(__file__).parents[2]
# Traces of real services; not part of the project, so they may be missing.
SHARED: Final = ROOT.parent / "shared" / "data" / "traces"
SEEDS: Final = 10
BAD_USE: Final = 2


def main() -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--traces",
        type=Path,
        help=f"a folder with more traces as CSV files; default: {_shown(SHARED)}, if it exists",
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this time")
    parser.add_argument(
        "--continue", dest="go_on", action="store_true", help="keep the scores of the run folder"
    )
    parser.add_argument(
        "--run", type=Path, default=ROOT / "runs" / "bench-autoscaler", help="the run folder"
    )
    parser.add_argument("--out", type=Path, default=ROOT, help="the checkout to write to")
    arguments = parser.parse_args()
    if arguments.seeds < 1 or arguments.jobs < 1:
        parser.error("--seeds and --jobs must be at least 1")
    folder = arguments.traces or (SHARED if SHARED.is_dir() else None)
    files = sorted(folder.glob("*.csv")) if folder else []
    if arguments.traces and not files:
        parser.error(f"{arguments.traces} has no CSV file")
    if not folder:
        print(f"using only the named traces: {_shown(SHARED)} does not exist", file=sys.stderr)
    try:
        results = Results.read(arguments.run) if arguments.go_on else Results(arguments.run)
    except ValueError as error:
        parser.error(str(error))

    specs = specs_of(files)
    cells = cells_of(specs, arguments.seeds)
    until = time.monotonic() + 60 * arguments.minutes
    run_cells(results, cells, jobs=arguments.jobs, until=until)
    missing = sum(results.get(cell) is None for cell in cells)
    seeds = whole_seeds(results, specs, range(arguments.seeds))
    if not seeds:
        print(f"no seed is whole yet: {missing} of {len(cells)} cells are missing", file=sys.stderr)
        return BAD_USE
    report(results, specs, seeds, _command(arguments, folder), arguments.out)
    return 0


def report(
    results: Results, specs: Sequence[TraceSpec], seeds: Sequence[int], by: str, out: Path
) -> None:
    """Print and write the section and its pictures."""
    traces = [trace_name(spec) for spec in specs]
    table = scores_of(results, specs, seeds)
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    means = f"means of {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    provenance = f"Written by `{by}` on {datetime.now(UTC):%Y-%m-%d}, {machine}: {means}."
    text = page(provenance, traces, table)
    print(text)
    write_section(out / "bench" / "RESULTS.md", text)
    parts = sums(traces).items()
    found = [one for title, names in parts for one in results_of(table, names, title.strip("*"))]
    save("autoscaler", found, whole=out == ROOT)
    images = out / "docs" / "img"
    images.mkdir(parents=True, exist_ok=True)
    shown = [
        PolicyResult(policy, trace, mean_score(table[policy, trace]))
        for trace in traces
        for policy in (SLOQ, *BASELINES)
    ]
    pareto_page(images / "autoscaler-pareto.png", "All traces", shown)
    spike, system = TraceSpec("spike"), System()
    runs = {
        policy: run_one(policy, spike, system, 0)
        for policy in (SLOQ, *BASELINES[:1], "kpa", "ray-serve")
    }
    own = [result for result in shown if result.trace == "spike" and result.policy in runs]
    write_page(images / "autoscaler-spike.png", "spike", runs, own, system)


def whole_seeds(results: Results, specs: Sequence[TraceSpec], seeds: Iterable[int]) -> list[int]:
    """The seeds of which all cells have a score."""
    return [
        seed
        for seed in seeds
        if all(
            results.get(Cell(policy, spec, seed)) is not None
            for spec in specs
            for policy in POLICIES
        )
    ]


def scores_of(results: Results, specs: Sequence[TraceSpec], seeds: Sequence[int]) -> Scores:
    """The scores by policy and trace, in the order of the seeds, all of which are whole."""
    found: dict[tuple[str, str], list[Score]] = {}
    for policy in POLICIES:
        for spec in specs:
            scores = [results.get(Cell(policy, spec, seed)) for seed in seeds]
            found[policy, trace_name(spec)] = [score for score in scores if score is not None]
    return found


def _command(arguments: argparse.Namespace, folder: Path | None) -> str:
    """The command that reproduces the page, also on a machine with other traces."""
    traces = f" TRACES={_shown(folder)}" if folder else ""
    seeds = f" SEEDS={arguments.seeds}" if arguments.seeds != SEEDS else ""
    return f"make bench-autoscaler{traces}{seeds}"


def _shown(folder: Path) -> str:
    return os.path.relpath(folder, ROOT)


if __name__ == "__main__":
    sys.exit(main())
