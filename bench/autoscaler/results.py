"""The scores of a run, kept seed by seed in its folder, so that it can be continued."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import Final, Protocol

from tidegate.lab.simulator.processes import in_processes
from tidegate.lab.simulator.score import Score

WRITE_SECONDS: Final = 10.0


class Cell(Protocol):
    """One simulation, whose score is kept by its seed and key as long as its code is the same."""

    @property
    def seed(self) -> int:
        """Of its requests."""

    @property
    def key(self) -> str:
        """Its policy and trace."""

    @property
    def code(self) -> str:
        """A digest of the code that its score follows from."""

    def simulate(self) -> Score:
        """Its score, in this process."""


@dataclass(slots=True)
class Results:
    """The scores by seed and cell, in `seed-N.json` of a folder."""

    folder: Path
    seeds: dict[int, dict[str, tuple[str, Score]]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Results:
        """The scores in a folder; none if there is no such folder.

        Raises:
            ValueError: a file is not one of these; the text names it.
        """
        found = cls(folder)
        for path in sorted(folder.glob("seed-*.json")):
            try:
                number = int(path.stem.removeprefix("seed-"))
                entries = json.loads(path.read_text(encoding="utf-8"))
                found.seeds[number] = {
                    key: (code, Score(**score)) for key, (code, score) in entries.items()
                }
            except (ValueError, TypeError, AttributeError) as error:
                raise ValueError(f"{path} has no scores of a run: {error}") from error
        return found

    def get(self, cell: Cell) -> Score | None:
        """The score of a cell, if it is of the present code."""
        code, score = self.seeds.get(cell.seed, {}).get(cell.key, ("", None))
        return score if code == cell.code else None

    def add(self, cell: Cell, score: Score) -> None:
        """Keep a score; not yet written."""
        self.seeds.setdefault(cell.seed, {})[cell.key] = (cell.code, score)

    def write(self, seed: int) -> None:
        """Write the scores of a seed, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"seed-{seed}.json"
        entries = {key: [code, asdict(score)] for key, (code, score) in self.seeds[seed].items()}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(entries, indent=1), encoding="utf-8")
        partial.replace(path)


def run_cells(
    results: Results,
    cells: Sequence[Cell],
    *,
    jobs: int,
    until: float,
) -> None:
    """Simulate the cells that have no score yet, in their order, and keep the scores.

    Args:
        results: where they are kept.
        cells: the cells.
        jobs: the number of processes; 1: this one.
        until: the time (`time.monotonic`) after which no more cells are begun.
    """
    missing = [cell for cell in cells if results.get(cell) is None]
    scores = in_processes(methodcaller("simulate"), missing, jobs, until=until)
    unwritten: set[int] = set()
    written = time.monotonic()
    try:
        for cell, score in zip(missing, scores, strict=False):
            results.add(cell, score)
            unwritten.add(cell.seed)
            if time.monotonic() - written >= WRITE_SECONDS:
                _write(results, unwritten)
                written = time.monotonic()
    finally:
        _write(results, unwritten)


def _write(results: Results, unwritten: set[int]) -> None:
    while unwritten:
        results.write(unwritten.pop())
