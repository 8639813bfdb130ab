"""`tidegate retrain`: the rows that it reads, its errors, and that only a better model is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from support.samples.candidate_models import first_week_of_march, oldest
from support.samples.served_models import write_regressor
from tidegate.events.event import Event, Origin, make_event
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.retained_rows import row_events
from tidegate.monitoring.retraining import candidate
from tidegate.monitoring.retraining import run as retraining
from tidegate.monitoring.retraining.candidate import newest, train_candidate
from tidegate.monitoring.retraining.comparison import compare
from tidegate.monitoring.retraining.run import RetrainOptions, refuse_other_tasks, retrain
from tidegate.monitoring.retraining.stored_rows import StoredRow
from tidegate.monitoring.retraining.training_rows import (
    NoRowsError,
    TrainingRows,
    from_dataset,
    from_events,
    months_of,
)
from tidegate.service.artefacts.import_model import import_model
from tidegate.service.model import artefact
from tidegate.service.model.artefact import Artefact, ArtefactError, load
from tidegate.service.model.loaded_model import open_predictor
from tidegate.settings import Settings
from tidegate.store.kinds import open_store

ORIGIN = Origin("flights", "1", "local", "flights-1", "default")


@pytest.fixture(scope="session")
def march(flights: Artefact) -> TrainingRows:
    return first_week_of_march(flights.manifest)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few resamples: these tests are not about the interval."""

    def compare_few(*arguments: Any) -> Any:
        return compare(*arguments, resamples=30)

    monkeypatch.setattr(candidate, "compare", compare_few)


@pytest.mark.parametrize(
    ("text", "months"), [("3-6", (3, 4, 5, 6)), ("3", (3,)), ("3-", (3,)), ("1-1", (1,))]
)
def test_a_range_of_months_is_parsed(text: str, months: tuple[int, ...]) -> None:
    assert months_of(text) == months


@pytest.mark.parametrize("text", ["0-3", "6-3", "3-13", "march", ""])
def test_an_invalid_range_of_months_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 3 or 3-6"):
        months_of(text)


def test_the_held_out_rows_are_newer_than_the_training_rows(march: TrainingRows) -> None:
    held_out = newest(march)
    assert march.block[~held_out].max() < march.block[held_out].min()
    assert 0.2 < held_out.mean() < 0.35
    with pytest.raises(NoRowsError, match="all rows are from the same time"):
        newest(oldest(march, 100))


def test_the_candidate_is_a_complete_artefact_that_names_its_parent(
    flights: Artefact, march: TrainingRows, tmp_path: Path, quick: None
) -> None:
    with artefact.staged(tmp_path / "next") as folder:
        made = train_candidate(flights, march, folder, lambda _: None)
    loaded = artefact.load(tmp_path / "next")
    manifest = loaded.manifest
    assert manifest == made.manifest
    assert manifest.trained["parent"] == flights.manifest.version != manifest.version
    assert manifest.trained["window"] == list(march.window)
    assert manifest.trained["rows"] + manifest.trained["held_out_rows"] == 6000
    assert [f.name for f in manifest.features] == [f.name for f in flights.manifest.features]
    assert manifest.classes == flights.manifest.classes
    assert manifest.parity["rows_apart"] == 0
    held_out = newest(march)
    predicted = open_predictor(loaded)[0].predict(march.matrix[held_out])
    accuracy = float((predicted.labels == march.truth[held_out]).mean())
    assert manifest.metrics["held_out"]["accuracy"] == pytest.approx(accuracy, abs=1e-4)


def test_too_few_rows_of_a_class_are_refused(
    flights: Artefact, march: TrainingRows, tmp_path: Path
) -> None:
    always_on_time = dataclasses.replace(march, truth=np.ones_like(march.truth))
    with pytest.raises(NoRowsError, match="only 0 of the older rows are late; 20 are needed"):
        train_candidate(flights, always_on_time, tmp_path, lambda _: None)


def test_an_imported_model_of_numbers_can_be_retrained(tmp_path: Path, quick: None) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(400, 3)).astype(np.float32)
    joblib.dump(LogisticRegression().fit(x, x[:, 0] > 0), tmp_path / "small.joblib")
    import_model(tmp_path / "small.joblib", tmp_path / "small")
    current = artefact.load(tmp_path / "small")
    truth = (x[:, 1] > 0).astype(np.intp)  # drift: another feature decides
    rows = TrainingRows(x, truth, np.arange(400) // 10, ("a", "b"), "events")
    with artefact.staged(tmp_path / "next") as folder:
        made = train_candidate(current, rows, folder, lambda _: None)
    assert {each.measure: each.verdict for each in made.differences}["auc"] == "better"


def test_a_model_that_is_not_from_a_joblib_file_is_refused(flights: Artefact) -> None:
    refuse_other_tasks(flights)
    manifest = flights.manifest.model_copy(update={"files": {"model.onnx": "sha256:0"}})
    with pytest.raises(
        ArtefactError, match="fits the model in a joblib file again, and flights is"
    ):
        refuse_other_tasks(dataclasses.replace(flights, manifest=manifest))


def labelled(rows: list[dict[str, Any]]) -> list[StoredRow]:
    return [StoredRow(number, row, "late") for number, row in enumerate(rows)]


def test_rows_that_do_not_fit_the_model_are_refused(
    flights: Artefact, samples: list[dict[str, Any]]
) -> None:
    with pytest.raises(NoRowsError, match=r"a row does not fit the model: .*hour"):
        from_events(labelled([{**samples[0], "hour": 99}]), flights.manifest)
    with pytest.raises(NoRowsError, match="labels that are not classes of the model: early"):
        from_events([StoredRow(1, samples[0], "early")], flights.manifest)
    with pytest.raises(NoRowsError, match="no row with a label"):
        from_events([], flights.manifest)


def test_rows_from_events_are_in_the_order_of_time_in_blocks(
    flights: Artefact, samples: list[dict[str, Any]]
) -> None:
    rows = from_events(list(reversed(labelled(samples[:100]))), flights.manifest)
    assert (np.diff(rows.block) >= 0).all()
    assert 40 <= len(np.unique(rows.block)) <= 50
    assert (len(rows), set(rows.truth.tolist())) == (100, {0})


def test_a_model_with_other_features_is_not_retrained_on_the_flights(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    joblib.dump(LogisticRegression().fit(x, x[:, 0] > 0), tmp_path / "small.joblib")
    import_model(tmp_path / "small.joblib", tmp_path / "small")
    with pytest.raises(NoRowsError, match="is not a model of the flights"):
        from_dataset([3], artefact.load(tmp_path / "small").manifest)


@dataclass
class Command:
    """`tidegate retrain` with a data folder of its own; returns its exit code, output and errors."""

    current: Artefact
    folder: Path
    capsys: pytest.CaptureFixture[str]

    def __post_init__(self) -> None:
        self.out = self.folder / "next"
        self.settings = Settings(
            model={"path": self.current.path}, stack={"data_dir": self.folder / "data"}
        )

    def __call__(self, **options: Any) -> tuple[int, str, str]:
        code = retrain(self.settings, RetrainOptions(self.out, **options))
        return code, *self.capsys.readouterr()

    def store(self, rows: list[dict[str, Any]], *, labels: bool = True) -> None:
        """Append rows, and their labels, to the store: a request of ten rows per second."""
        first = datetime.now(UTC) - timedelta(seconds=3000)
        events = [
            event
            for number, start in enumerate(range(0, len(rows), 10))
            for event in request_events(
                number, first + timedelta(seconds=number), rows[start : start + 10], labels=labels
            )
        ]
        with closing(open_store(self.settings)) as store:
            assert store.append(events) == []


def request_events(
    number: int, at: datetime, rows: list[dict[str, Any]], *, labels: bool
) -> Iterator[Event]:
    ids = PredictionIds(b"a key of enough bytes", "v1", b"1234")
    at_ns, trace = int(at.timestamp() * 1e9), f"{number + 1:032x}"
    count = len(rows)
    texts = ids.make(at_ns // 1000, (trace, trace[16:]), ["0"] * count, [0.75] * count)
    values = [list(row.values()) for row in rows]
    of = {"trace_id": trace, "model": "flights", "version": "v1"}
    for message, fields in row_events(list(rows[0]), values, texts, **of):
        yield make_event(ORIGIN, "rows", message, unix_ns=at_ns, fields=fields)
    if not labels:
        return
    for text, row in zip(texts, rows, strict=True):
        actual = "late" if row["hour"] < 12 else "on_time"
        fields = {"tidegate": {"model": {"name": "flights"}, "outcome": {"actual": actual}}}
        own = ids.read(text).outcome_id
        yield make_event(ORIGIN, "outcome", "a label", unix_ns=at_ns, event_id=own, fields=fields)


@pytest.fixture
def command(flights: Artefact, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(flights, tmp_path, capsys)


def test_rows_and_labels_in_the_store_make_a_better_model(
    command: Command, samples: list[dict[str, Any]], quick: None
) -> None:
    command.store(samples)
    code, _, err = command(since="1h", min_rows=501)
    assert code == retraining.NOT_COMPARED
    assert "500 rows with a label are too few: --min-rows is 501" in err
    code, out, _ = command(since="1h", min_rows=500)
    assert code == retraining.BETTER
    assert "500 rows, 500 labels, 500 rows with a label" in out
    assert "better: flights" in out
    assert artefact.load(command.out).manifest.trained["source"] == "events"


@pytest.mark.parametrize(
    ("rows", "remedy"),
    [
        (0, "no rows are stored: set drift.keep_rows_share above 0"),
        (20, "no labels are stored: POST them to /feedback"),
    ],
)
def test_the_error_says_how_to_get_the_missing_rows_or_labels(
    command: Command, samples: list[dict[str, Any]], rows: int, remedy: str
) -> None:
    command.store(samples[:rows], labels=False)
    code, _, err = command(since="1h")
    assert code == retraining.NOT_COMPARED
    for part in (remedy, "/feedback", "drift.keep_rows_share"):
        assert part in err
    assert not command.out.exists()


@pytest.mark.parametrize("keep", [False, True])
def test_a_candidate_that_is_not_better_is_written_only_with_keep(
    command: Command,
    march: TrainingRows,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    keep: bool,
) -> None:
    monkeypatch.setattr(retraining, "is_better", lambda _: False)
    monkeypatch.setattr(retraining, "from_dataset", lambda *_: march)
    code, out, _ = command(months="3", keep=keep)
    assert code == retraining.NOT_BETTER
    assert "not better: flights" in out
    assert command.out.exists() is keep
    assert list(command.folder.glob("*.tmp")) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"months": "13"}, "invalid months"),
        ({"since": "yesterday"}, "yesterday"),
        ({"months": "3", "min_rows": 10**6}, "--min-rows is 1,000,000"),
    ],
)
def test_an_invalid_option_is_reported_in_one_sentence(
    command: Command,
    march: TrainingRows,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    reason: str,
) -> None:
    monkeypatch.setattr(retraining, "from_dataset", lambda *_: march)
    code, _, err = command(**options)
    assert code == 2
    assert reason in err


def test_a_regressor_is_refused_with_what_to_do_instead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_regressor(tmp_path / "progression")
    command = Command(load(tmp_path / "progression"), tmp_path, capsys)
    code, _, err = command()
    assert code == 2
    assert "progression has the task regression and the input matrix: train it with your own" in err
    assert not command.out.exists()


def test_a_candidate_does_not_overwrite_a_file(command: Command) -> None:
    command.out = command.folder / "wine.joblib"
    command.out.write_bytes(b"a model")
    code, _, err = command(months="3")
    assert code == retraining.NOT_COMPARED
    assert "wine.joblib is not an artefact folder and is not overwritten" in err
    assert command.out.read_bytes() == b"a model"
