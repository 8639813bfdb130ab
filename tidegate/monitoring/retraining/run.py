"""`tidegate retrain`: train a candidate on newer rows, and write it if it is better."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.table import Table

from tidegate.monitoring.retraining.comparison import (
    LOWER_IS_BETTER,
    MEASURES,
    Difference,
    is_better,
)
from tidegate.monitoring.retraining.stored_rows import OUTCOMES_QUERY, ROWS_QUERY, JoinedRows, join
from tidegate.monitoring.retraining.training_rows import (
    NoRowsError,
    TrainingRows,
    describe,
    from_dataset,
    from_events,
    months_of,
)
from tidegate.service.artefacts.import_cache import find_model
from tidegate.service.model import artefact
from tidegate.service.model.artefact import Artefact, ArtefactError
from tidegate.settings import Settings
from tidegate.store.base import EventStore, QueryError, StoreUnavailableError
from tidegate.store.kinds import open_store
from tidegate.store.query import time_ranges
from tidegate.store.search.follower import Follower
from tidegate.terminal_console import Console

BETTER: Final = 0
NOT_BETTER: Final = 1
NOT_COMPARED: Final = 2


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """The options of the command."""

    out: Path
    """The artefact folder to write."""
    since: str = "7d"
    """Start of the events to read, as a duration or a time."""
    months: str = ""
    """Months of the flight data set, such as `3-6`; empty to use events."""
    min_rows: int = 1000
    """The smallest number of rows with labels to train on."""
    keep: bool = False
    """Whether to write the artefact even if it is not better."""


def retrain(settings: Settings, options: RetrainOptions) -> int:
    """Train a candidate, compare it with the current model, and write it if it is better.

    Returns:
        The exit code: 0 better and written, 1 not better (written only with `keep`), 2 not compared.

    Raises:
        OSError: a file cannot be read or written.
    """
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        artefact.refuse_foreign(options.out)
        current = asyncio.run(find_model(settings.model.path, settings))
        refuse_other_tasks(current)
        rows = _rows(settings, options, current, console)
        return _train_and_compare(current, rows, options, console)
    except (ArtefactError, NoRowsError, QueryError, StoreUnavailableError, ValueError) as error:
        errors.print(f"retrain: {' '.join(str(error).split())}", soft_wrap=True)
        return NOT_COMPARED


def refuse_other_tasks(current: Artefact) -> None:
    """Refuse a model that is no classifier of features.

    Raises:
        ArtefactError: the text says what to do instead.
    """
    manifest = current.manifest
    if not manifest.classes or manifest.runtime != "onnx" or not manifest.features:
        raise ArtefactError(
            f"{current.path}: `tidegate retrain` trains classifiers of features with scikit-learn, and "
            f"{manifest.name} has the task {manifest.task} and the input {manifest.input}: train it with "
            "your own code, and deploy it with `tidegate deploy`"
        )
    if artefact.MODEL not in manifest.files:
        raise ArtefactError(
            f"{current.path}: `tidegate retrain` fits the model in a joblib file again, and {manifest.name} "
            "is not from one: train it with your own code, and deploy it with `tidegate deploy`"
        )


def read_rows(store: EventStore, model: str, since: datetime) -> JoinedRows:
    """The stored rows of a model since a time, with their labels."""
    rows = Follower(store, ROWS_QUERY, since).events()
    outcomes = Follower(store, OUTCOMES_QUERY, since).events()
    return join(rows, outcomes, model)


def _rows(
    settings: Settings, options: RetrainOptions, current: Artefact, console: Console
) -> TrainingRows:
    if options.months:
        rows = from_dataset(months_of(options.months), current.manifest)
    else:
        since = time_ranges.when(options.since, datetime.now(UTC))
        with closing(open_store(settings, read_only=True)) as store:
            found = read_rows(store, current.manifest.name, since)
        console.print(
            f"since {options.since}: {found.row_count:,} rows, {found.label_count:,} labels, "
            f"{len(found.labelled):,} rows with a label",
            soft_wrap=True,
        )
        _check_enough(found, options)
        rows = from_events(found.labelled, current.manifest)
    if len(rows) < options.min_rows:
        raise NoRowsError(f"{len(rows):,} rows are too few: --min-rows is {options.min_rows:,}")
    console.print(describe(rows, current.manifest.classes), soft_wrap=True)
    return rows


def _check_enough(found: JoinedRows, options: RetrainOptions) -> None:
    count = len(found.labelled)
    if count >= options.min_rows:
        return
    if not found.row_count:
        remedy = (
            "no rows are stored: set drift.keep_rows_share above 0 (such as 0.05), restart the service, and"
            " send labels to /feedback; to try it on the flight data set, use --from-dataset 3-6"
        )
    elif not found.label_count:
        remedy = (
            "no labels are stored: POST them to /feedback with the prediction_id of each row, and leave"
            " drift.keep_rows_share above 0"
        )
    else:
        remedy = "wait for more, or read older events with --since"
    raise NoRowsError(
        f"{count:,} rows with a label are too few: --min-rows is {options.min_rows:,}; {remedy}"
    )


def _train_and_compare(
    current: Artefact, rows: TrainingRows, options: RetrainOptions, console: Console
) -> int:
    from tidegate.monitoring.retraining.candidate import (  # noqa: PLC0415 - scikit-learn takes seconds to import
        train_candidate,
    )

    with artefact.locked(options.out), tempfile.TemporaryDirectory(prefix="tidegate-") as draft:
        candidate = train_candidate(
            current, rows, Path(draft), lambda text: console.print(f"✓ {text}")
        )
        versions = (current.manifest.version, candidate.manifest.version)
        console.print("current model {}, candidate {}:".format(*versions), soft_wrap=True)
        console.print(comparison_table(candidate.differences))
        better = is_better(candidate.differences)
        if better or options.keep:
            with artefact.staged(options.out) as folder:
                shutil.copytree(draft, folder, dirs_exist_ok=True)
    name = f"{candidate.manifest.name} {candidate.manifest.version}"
    if better:
        console.print(f"better: {name} is written to {options.out}", soft_wrap=True)
        console.print(f"next: tidegate deploy {options.out}", soft_wrap=True)
        return BETTER
    where = f"written to {options.out}" if options.keep else "not written (--keep writes it anyway)"
    console.print(f"not better: {name} is not significantly better; {where}", soft_wrap=True)
    return NOT_BETTER


def comparison_table(differences: list[Difference]) -> Table:
    """The measures of both models as a table."""
    table = Table("", "current", "candidate", "difference", "95 %", "", box=None)
    for one in differences:
        direction = "↓" if one.measure in LOWER_IS_BETTER else "↑"
        table.add_row(
            f"{MEASURES[one.measure]} {direction}",
            f"{one.current:.4f}",
            f"{one.candidate:.4f}",
            f"{one.candidate - one.current:+.4f}",
            f"{one.low:+.4f} … {one.high:+.4f}",
            one.verdict,
        )
    return table
