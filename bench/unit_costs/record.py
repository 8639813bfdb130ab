"""The measured unit costs, as a file that `bench/scaling_out.py` reads."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

MEASURED: Final = Path(__file__).with_name("measured.json")


@dataclass(frozen=True, slots=True)
class Cost:
    """One figure.

    Attributes:
        name: what it is, as `scaling_out` calls it.
        value: in `unit`.
        unit: such as `µs/request`.
        command: what printed it.
        machine: where and when.
        note: how it was measured, or what it leaves out.
    """

    name: str
    value: float
    unit: str
    command: str
    machine: str
    note: str = ""


def measured(part: str, name: str, value: float, unit: str, note: str = "") -> Cost:
    """A figure that `python -m bench.unit_costs PART` has just measured."""
    return Cost(name, value, unit, f"python -m bench.unit_costs {part}", machine(), note)


def machine() -> str:
    """This machine and today's date."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"


def load(path: Path = MEASURED) -> dict[str, Cost]:
    """The figures of the file, by name.

    Raises:
        FileNotFoundError: nothing has been measured yet.
    """
    return {each["name"]: Cost(**each) for each in json.loads(path.read_text(encoding="utf-8"))}


def save(costs: list[Cost], path: Path = MEASURED) -> None:
    """Replace the figures with these names, and keep the others."""
    known = load(path) if path.exists() else {}
    known.update({cost.name: cost for cost in costs})
    text = json.dumps([asdict(known[name]) for name in sorted(known)], indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
