"""`tidegate retrain`: train a challenger on newer rows, and write it if it is better than the champion."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tidegate.retraining.comparison import LOWER_IS_BETTER, Difference, is_better
from tidegate.retraining.labelled_rows import (
    Labelled,
    NoRowsError,
    describe,
    from_dataset,
    from_events,
    months_of,
)
from tidegate.retraining.stored_rows import OUTCOMES_QUERY, ROWS_QUERY, Found, join
from tidegate.service.artefacts.import_cache import find_model
from tidegate.service.model import artefact
from tidegate.service.model.artefact import Artefact, ArtefactError
from tidegate.settings import Settings
from tidegate.store.base import EventStore, QueryError, StoreUnavailableError
from tidegate.store.open_store import open_store
from tidegate.store.query import time_ranges
from tidegate.store.search.follower import Follower

BETTER: Final = 0
NOT_BETTER: Final = 1
TROUBLE: Final = 2
NAMES: Final = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """The options of the command.

    Attributes:
        out: the artefact folder to write.
        since: how far back events are read, `7d` or a time.
        months: months of the flight data, such as `3-6`; empty means events.
        least: the smallest number of rows with labels to train on.
        keep: write the artefact even if it is not better.
    """

    out: Path
    since: str = "7d"
    months: str = ""
    least: int = 1000
    keep: bool = False


def retrain(settings: Settings, options: RetrainOptions) -> int:
    """Train a challenger, compare it, and write it if it is better.

    Returns:
        The exit code: 0 better and written, 1 not better (written only with `keep`), 2 no comparison made.

    Raises:
        OSError: a file cannot be read or written.
    """
    console, errors = Console(highlight=False), Console(stderr=True, highlight=False)
    # Its own exceptions need scikit-learn and skl2onnx, which take seconds to import.
    from tidegate.service.artefacts.onnx_export import ExportError  # noqa: PLC0415

    try:
        artefact.refuse_foreign(options.out)
        champion = asyncio.run(find_model(settings.model.path, settings.stack.data_dir))
        rows = _rows(settings, options, champion, console)
        return _contest(champion, rows, options, console)
    except (
        ArtefactError,
        ExportError,
        NoRowsError,
        QueryError,
        StoreUnavailableError,
        ValueError,
    ) as error:
        errors.print(f"retrain: {' '.join(str(error).split())}", soft_wrap=True, markup=False)
        return TROUBLE


def find(store: EventStore, model: str, since: datetime) -> Found:
    """The stored rows of a model since a time, with their labels."""
    rows = Follower(store, ROWS_QUERY, since).events()
    outcomes = Follower(store, OUTCOMES_QUERY, since).events()
    return join(rows, outcomes, model)


def _rows(
    settings: Settings, options: RetrainOptions, champion: Artefact, console: Console
) -> Labelled:
    if options.months:
        rows = from_dataset(months_of(options.months), champion.manifest)
    else:
        since = time_ranges.when(options.since, datetime.now(UTC))
        with closing(open_store(settings, read_only=True)) as store:
            found = find(store, champion.manifest.name, since)
        console.print(
            f"since {options.since}: {found.rows:,} rows kept, {found.labels:,} labels, "
            f"{len(found.kept):,} rows with their label",
            soft_wrap=True,
        )
        _check_enough(len(found.kept), found, options)
        rows = from_events(found.kept, champion.manifest)
    if len(rows) < options.least:
        raise NoRowsError(f"{len(rows):,} rows are too few: --min-rows asks for {options.least:,}")
    console.print(describe(rows, champion.manifest.classes), soft_wrap=True)
    return rows


def _check_enough(count: int, found: Found, options: RetrainOptions) -> None:
    if count >= options.least:
        return
    if not found.rows:
        why = (
            "no row was kept: set drift.keep_rows_share above 0 (such as 0.05), start the service again, and"
            " send labels to /feedback as they become known; --from-dataset 3-6 tries it on the flight data"
        )
    elif not found.labels:
        why = (
            "no label came in: POST them to /feedback with the prediction_id of each answer, and keep"
            " drift.keep_rows_share above 0"
        )
    else:
        why = "wait for more, or look further back with --since"
    raise NoRowsError(
        f"{count:,} rows with a label are too few: --min-rows asks for {options.least:,}; {why}"
    )


def _contest(champion: Artefact, rows: Labelled, options: RetrainOptions, console: Console) -> int:
    from tidegate.retraining.candidate import challenge  # noqa: PLC0415 - scikit-learn takes seconds to import

    with artefact.locked(options.out), tempfile.TemporaryDirectory(prefix="tidegate-") as draft:
        made = challenge(champion, rows, Path(draft), lambda text: console.print(f"✓ {text}"))
        versions = (champion.manifest.version, made.manifest.version)
        console.print("champion {}, challenger {}:".format(*versions), soft_wrap=True)
        console.print(comparison(made.differences))
        better = is_better(made.differences)
        if better or options.keep:
            with artefact.staged(options.out) as folder:
                shutil.copytree(draft, folder, dirs_exist_ok=True)
    name = f"{made.manifest.name} {made.manifest.version}"
    if better:
        console.print(f"take it: {name} is better, and is in {options.out}", soft_wrap=True)
        console.print(f"next: tidegate deploy {options.out}", soft_wrap=True)
        return BETTER
    where = (
        f"kept in {options.out}" if options.keep else "not written (--keep writes it all the same)"
    )
    console.print(f"do not take it: {name} is not surely better; {where}", soft_wrap=True)
    return NOT_BETTER


def comparison(differences: list[Difference]) -> Table:
    """The measures of both models as a table."""
    table = Table("", "champion", "challenger", "difference", "95 %", "", box=None)
    for one in differences:
        better = "↓" if one.measure in LOWER_IS_BETTER else "↑"
        table.add_row(
            f"{NAMES[one.measure]} {better}",
            f"{one.champion:.4f}",
            f"{one.challenger:.4f}",
            f"{one.challenger - one.champion:+.4f}",
            f"{one.low:+.4f} … {one.high:+.4f}",
            one.verdict,
        )
    return table
