"""How many slots SLOQ's queueing model asks for: square-root staffing, and what variable traffic adds.

Run: python bench/staffing.py. Prints a table and draws docs/img/sloq-staffing.png.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Final

import matplotlib as mpl
from rich.console import Console
from rich.table import Table

from tidegate.autoscaler.sloq.queueing import slots_needed

mpl.use("Agg")
import matplotlib.pyplot as plt

IMAGE: Final = Path(__file__).parents[1] / "docs" / "img" / "sloq-staffing.png"
LOADS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
PEAKEDNESS: Final = (1.0, 2.0, 5.0)
PATIENCE: Final = 1.0
LATE: Final = 0.005
MOST: Final = 10_000


def slots_for(load: float, peakedness: float) -> int:
    """Slots so that at most 0.5 % of the requests wait longer than they take."""
    return slots_needed(
        load, PATIENCE, LATE, utilisation=0.97, peakedness=peakedness, max_slots=MOST
    )


def main() -> None:
    """Print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=IMAGE, help="the picture")
    arguments = parser.parse_args()
    table = Table(title="slots, the busy fraction, and the slots beyond the load per √(z·load)")
    table.add_column("load")
    for peakedness in PEAKEDNESS:
        table.add_column(f"z = {peakedness:g}", justify="right")
    for load in LOADS:
        cells = []
        for peakedness in PEAKEDNESS:
            slots = slots_for(load, peakedness)
            spare = (slots - load) / math.sqrt(peakedness * load)
            cells.append(f"{slots} · {load / slots:.0%} · {spare:.1f}")
        table.add_row(f"{load}", *cells)
    Console().print(table)
    draw(arguments.out)


def draw(path: Path) -> None:
    """The busy fraction that the model allows, by the load, for each peakedness."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    loads = [2 ** (step / 4) for step in range(37)]
    for peakedness in PEAKEDNESS:
        busy = [100 * load / slots_for(load, peakedness) for load in loads]
        axes.plot(loads, busy, label=f"z = {peakedness:g}")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("load in slots: arrival rate times the time in a slot")
    axes.set_ylabel("busy slots in %")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend(title="peakedness")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
