"""Compare scaling policies on all traces with several seeds: half an hour on two idle cores.

    python -m bench.autoscaler
    python -m bench.autoscaler --seeds 1 --out /tmp/found     a look, which leaves the committed results

It prints its section of bench/RESULTS.md and writes it there.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.autoscaler.comparison import BASELINES, POLICIES, SLOQ, results_of
from bench.autoscaler.page import page, sums, write_section
from bench.results import save
from tidegate.lab.simulator.comparison import PolicyResult, TraceSpec, compare_policies, run_one
from tidegate.lab.simulator.named_traces import NAMED_TRACES
from tidegate.lab.simulator.plots import pareto_page, summed, write_page
from tidegate.lab.simulator.system import System

ROOT: Final = Path(__file__).parents[2]
# Traces of real services; not part of the project, so they may be missing.
SHARED: Final = ROOT.parent / "shared" / "data" / "traces"
SEEDS: Final = 10
PEAKS: Final = {"azure_llm_conv_2023": 60.0, "worldcup98_1998-06-10": 150.0}
OTHER_PEAK: Final = 100.0


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--traces",
        type=Path,
        help=f"a folder with more traces as CSV files; default: {_shown(SHARED)}, if it exists",
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, help="processes; default: one per core")
    parser.add_argument("--out", type=Path, default=ROOT, help="the checkout to write to")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("--seeds must be at least 1")
    folder = arguments.traces or (SHARED if SHARED.is_dir() else None)
    files = sorted(folder.glob("*.csv")) if folder else []
    if arguments.traces and not files:
        parser.error(f"{arguments.traces} has no CSV file")
    if not folder:
        print(f"using only the named traces: {_shown(SHARED)} does not exist", file=sys.stderr)
    specs = [
        *(TraceSpec(name) for name in NAMED_TRACES),
        *(TraceSpec(str(path), PEAKS.get(path.stem, OTHER_PEAK)) for path in files),
    ]
    seeds = range(arguments.seeds)
    found = compare_policies(POLICIES, specs, System(), seeds, workers=arguments.jobs)
    report(found, _command(arguments, folder), arguments.out)


def report(found: Sequence[PolicyResult], by: str, out: Path) -> None:
    """Print and write the section and its pictures."""
    traces = list(dict.fromkeys(one.trace for one in found))
    table = {(one.policy, one.trace): one.scores for one in found}
    seeds = len(found[0].scores)
    machine = f"{os.cpu_count()} cores ({platform.machine()})"
    means = f"means of {seeds} seeds" if seeds > 1 else "one seed"
    provenance = f"Written by `{by}` on {datetime.now(UTC):%Y-%m-%d}, {machine}: {means}."
    text = page(provenance, traces, table)
    print(text)
    write_section(out / "bench" / "RESULTS.md", text)
    parts = sums(traces).items()
    results = [one for title, names in parts for one in results_of(table, names, title.strip("*"))]
    save("autoscaler", results, whole=out == ROOT)
    images = out / "docs" / "img"
    images.mkdir(parents=True, exist_ok=True)
    shown = [one for one in found if one.policy in (SLOQ, *BASELINES)]
    pareto_page(images / "autoscaler-pareto.png", "All traces", summed(shown))
    spike, system = TraceSpec("spike"), System()
    runs = {
        policy: run_one(policy, spike, system, 0)
        for policy in (SLOQ, *BASELINES[:1], "kpa", "ray-serve")
    }
    own = [result for result in shown if result.trace == "spike" and result.policy in runs]
    write_page(images / "autoscaler-spike.png", "spike", runs, own, system)


def _command(arguments: argparse.Namespace, folder: Path | None) -> str:
    """The command that reproduces the page, also on a machine with other traces."""
    traces = f" TRACES={_shown(folder)}" if folder else ""
    seeds = f" SEEDS={arguments.seeds}" if arguments.seeds != SEEDS else ""
    return f"make bench-autoscaler{traces}{seeds}"


def _shown(folder: Path) -> str:
    return os.path.relpath(folder, ROOT)


if __name__ == "__main__":
    main()
