"""Measures unit costs, prints them, and saves them for `bench/scaling_out.py`.

    python -m bench.unit_costs                 all parts, seven minutes
    python -m bench.unit_costs requests        only what a request costs

The parts: requests (a real stack), prometheus (a hundred targets), elasticsearch (a real server), gateway
(health checks of many replicas), autoscaler (a decision).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import inspect
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.unit_costs.record import save

PARTS: Final = ("requests", "gateway", "autoscaler", "prometheus", "elasticsearch")


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parts = parser.parse_args().parts or PARTS
    for part in parts:
        measure = importlib.import_module(f"bench.unit_costs.{part}").measure
        costs = measure()
        if inspect.iscoroutine(costs):
            costs = asyncio.run(costs)
        table = Table("cost", "value", "unit", "note", title=f"{part} ({costs[0].machine})")
        for cost in costs:
            table.add_row(cost.name, f"{cost.value:,.4g}", cost.unit, cost.note)
        Console(width=140).print(table)
        save(costs)


if __name__ == "__main__":
    main()
