"""A candidate that trains quickly: on one week of March."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tidegate.monitoring.retraining.candidate import train_candidate
from tidegate.monitoring.retraining.training_rows import TrainingRows, from_dataset
from tidegate.service.model.artefact import Artefact, Manifest, load, staged

ROWS = 6000


def first_week_of_march(current: Manifest) -> TrainingRows:
    """The first 6000 flights of March: one week."""
    return oldest(from_dataset([3], current), ROWS)


def oldest(rows: TrainingRows, count: int) -> TrainingRows:
    """The oldest `count` rows."""
    return replace(
        rows, matrix=rows.matrix[:count], truth=rows.truth[:count], block=rows.block[:count]
    )


def make_candidate(current: Artefact, out: Path) -> Artefact:
    """Train a candidate and write its artefact."""
    with staged(out) as folder:
        train_candidate(current, first_week_of_march(current.manifest), folder, lambda _: None)
    return load(out)
