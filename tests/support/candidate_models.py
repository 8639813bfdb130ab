"""A challenger that is quickly made: it learned from some days of March."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tidegate.retraining.candidate import challenge
from tidegate.retraining.labelled_rows import Labelled, from_dataset
from tidegate.service.model.artefact import Artefact, Manifest, load, staged

ROWS = 6000


def days_of_march(champion: Manifest) -> Labelled:
    """The first 6000 flights of March: a week."""
    return oldest(from_dataset([3], champion), ROWS)


def oldest(rows: Labelled, count: int) -> Labelled:
    """So many of them."""
    return replace(
        rows, matrix=rows.matrix[:count], truth=rows.truth[:count], block=rows.block[:count]
    )


def make_challenger(champion: Artefact, out: Path) -> Artefact:
    """Fit it and write its artefact."""
    with staged(out) as folder:
        challenge(champion, days_of_march(champion.manifest), folder, lambda _: None)
    return load(out)
