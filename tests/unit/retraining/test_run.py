"""`tidegate retrain`: what it finds, when it refuses, and that only a better model is written."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from support.candidate_models import days_of_march, oldest
from tidegate.drift.feedback.prediction_ids import PredictionIds
from tidegate.drift.feedback.retained_rows import row_events
from tidegate.events.event import Origin, make_event
from tidegate.retraining import candidate
from tidegate.retraining import run as retraining
from tidegate.retraining.candidate import challenge, newest
from tidegate.retraining.comparison import compare
from tidegate.retraining.labelled_rows import (
    Labelled,
    NoRowsError,
    from_dataset,
    from_events,
    months_of,
)
from tidegate.retraining.run import RetrainOptions, retrain
from tidegate.retraining.stored_rows import Kept
from tidegate.service.artefacts.import_model import import_model
from tidegate.service.model import artefact
from tidegate.service.model.artefact import Artefact, ArtefactError
from tidegate.service.model.predictor import load_predictor
from tidegate.settings import Settings
from tidegate.store.open_store import open_store

ORIGIN = Origin("flights", "1", "local", "flights-1", "default")


@pytest.fixture(scope="session")
def march(flights: Artefact) -> Labelled:
    return days_of_march(flights.manifest)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws: these tests are not about the interval."""

    def few(*arguments: Any) -> Any:
        return compare(*arguments, resamples=30)

    monkeypatch.setattr(candidate, "compare", few)


def settings(flights: Artefact, folder: Path) -> Settings:
    return Settings(model={"path": flights.path}, stack={"data_dir": folder / "data"})


@pytest.mark.parametrize(("text", "months"), [("3-6", (3, 4, 5, 6)), ("3", (3,)), ("1-1", (1,))])
def test_months_are_named_from_to(text: str, months: tuple[int, ...]) -> None:
    assert months_of(text) == months


@pytest.mark.parametrize("text", ["0-3", "6-3", "3-13", "march", "3-", ""])
def test_other_months_are_refused(text: str) -> None:
    if text == "3-":
        assert months_of(text) == (3,)
        return
    with pytest.raises(ValueError, match="take 3-6, or 3"):
        months_of(text)


def test_what_is_held_out_is_newer_than_what_is_learned_from(march: Labelled) -> None:
    held_out = newest(march)
    assert march.block[~held_out].max() < march.block[held_out].min()
    assert 0.2 < held_out.mean() < 0.35
    with pytest.raises(NoRowsError, match="all rows are of one moment"):
        newest(oldest(march, 100))


def test_the_challenger_is_a_whole_artefact_that_names_its_parent(
    flights: Artefact, march: Labelled, tmp_path: Path, quick: None
) -> None:
    with artefact.staged(tmp_path / "next") as folder:
        made = challenge(flights, march, folder, lambda _: None)
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
    given = load_predictor(loaded).predict(march.matrix[held_out])
    accuracy = float((given.labels == march.truth[held_out]).mean())
    assert manifest.metrics["held_out"]["accuracy"] == pytest.approx(accuracy, abs=1e-4)


def test_a_class_that_hardly_occurs_is_refused(
    flights: Artefact, march: Labelled, tmp_path: Path
) -> None:
    always = dataclasses.replace(march, truth=np.ones_like(march.truth))
    with pytest.raises(NoRowsError, match="only 0 of the older rows are late; 20 are needed"):
        challenge(flights, always, tmp_path, lambda _: None)


def test_an_adopted_model_of_numbers_is_fitted_anew_too(tmp_path: Path, quick: None) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(400, 3)).astype(np.float32)
    joblib.dump(LogisticRegression().fit(x, x[:, 0] > 0), tmp_path / "small.joblib")
    import_model(tmp_path / "small.joblib", tmp_path / "small")
    champion = artefact.load(tmp_path / "small")
    truth = (x[:, 1] > 0).astype(np.intp)  # the world has changed
    rows = Labelled(x, truth, np.arange(400) // 10, ("a", "b"), "events")
    with artefact.staged(tmp_path / "next") as folder:
        made = challenge(champion, rows, folder, lambda _: None)
    assert {one.measure: one.verdict for one in made.differences}["auc"] == "better"


def test_a_champion_whose_classifier_cannot_be_read_is_named(
    flights: Artefact, march: Labelled, tmp_path: Path
) -> None:
    elsewhere = dataclasses.replace(flights, path=tmp_path)
    with pytest.raises(ArtefactError, match=r"model\.joblib does not read"):
        challenge(elsewhere, march, tmp_path, lambda _: None)


def kept(rows: list[dict[str, Any]]) -> list[Kept]:
    return [Kept(number, row, "late") for number, row in enumerate(rows)]


def test_rows_that_do_not_fit_the_model_are_refused(
    flights: Artefact, samples: list[dict[str, Any]]
) -> None:
    with pytest.raises(NoRowsError, match=r"a row does not fit the model: .*hour"):
        from_events(kept([{**samples[0], "hour": 99}]), flights.manifest)
    with pytest.raises(NoRowsError, match="labels that the model does not know: early"):
        from_events([Kept(1, samples[0], "early")], flights.manifest)
    with pytest.raises(NoRowsError, match="no row with a label"):
        from_events([], flights.manifest)


def test_rows_from_events_are_in_the_order_of_time_in_stretches(
    flights: Artefact, samples: list[dict[str, Any]]
) -> None:
    rows = from_events(list(reversed(kept(samples[:100]))), flights.manifest)
    assert (np.diff(rows.block) >= 0).all()
    assert 40 <= len(np.unique(rows.block)) <= 50
    assert (len(rows), set(rows.truth.tolist())) == (100, {0})


def test_another_model_learns_nothing_from_the_flights(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    joblib.dump(LogisticRegression().fit(x, x[:, 0] > 0), tmp_path / "small.joblib")
    import_model(tmp_path / "small.joblib", tmp_path / "small")
    with pytest.raises(NoRowsError, match="is no model of the flights"):
        from_dataset([3], artefact.load(tmp_path / "small").manifest)


def fill(settings: Settings, rows: list[dict[str, Any]], *, labels: bool) -> None:
    """Put rows and their labels in the store, a request of ten each second."""
    ids = PredictionIds(b"a key of enough bytes", "v1", b"1234")
    names = list(rows[0])
    now = datetime.now(UTC)
    events = []
    for number, start in enumerate(range(0, len(rows), 10)):
        part = rows[start : start + 10]
        at = now - timedelta(seconds=3000 - number)
        at_ns = int(at.timestamp() * 1e9)
        trace = f"{number + 1:032x}"
        made = ids.make(at_ns // 1000, (trace, trace[16:]), [0] * len(part), [0.75] * len(part))
        values = [list(row.values()) for row in part]
        of = {"trace_id": trace, "model": "flights", "version": "v1"}
        for sentence, fields in row_events(names, values, made, **of):
            events.append(make_event(ORIGIN, "rows", sentence, unix_ns=at_ns, fields=fields))
        for one, row in zip(made, part, strict=True):
            if labels:
                truth = "late" if row["hour"] < 12 else "on_time"
                told = {"model": {"name": "flights"}, "outcome": {"actual": truth}}
                name = ids.read(one).outcome_id
                events.append(
                    make_event(
                        ORIGIN,
                        "outcome",
                        "a label",
                        unix_ns=at_ns,
                        event_id=name,
                        fields={"tidegate": told},
                    )
                )
    store = open_store(settings)
    assert store.append(events) == []
    store.close()


def test_rows_and_labels_in_the_store_make_a_better_model(
    flights: Artefact,
    samples: list[dict[str, Any]],
    tmp_path: Path,
    quick: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured = settings(flights, tmp_path)
    fill(configured, samples, labels=True)
    out = tmp_path / "next"
    options = RetrainOptions(out, since="1h", least=501)
    assert retrain(configured, options) == retraining.TROUBLE
    assert "500 rows with a label are too few: --min-rows asks for 501" in capsys.readouterr().err
    assert retrain(configured, dataclasses.replace(options, least=500)) == retraining.BETTER
    said = capsys.readouterr().out
    assert "500 rows kept, 500 labels, 500 rows with their label" in said
    assert "take it: flights" in said
    assert artefact.load(out).manifest.trained["source"] == "events"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (0, "no row was kept: set drift.keep_rows_share above 0"),
        (20, "no label came in: POST them to /feedback"),
    ],
)
def test_what_is_missing_is_named(
    rows: int,
    why: str,
    *,
    flights: Artefact,
    samples: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    configured = settings(flights, tmp_path)
    open_store(configured).close()
    if rows:
        fill(configured, samples[:rows], labels=False)
    assert retrain(configured, RetrainOptions(tmp_path / "next", since="1h")) == retraining.TROUBLE
    said = capsys.readouterr().err
    assert why in said
    assert "/feedback" in said
    assert "drift.keep_rows_share" in said
    assert not (tmp_path / "next").exists()


@pytest.mark.parametrize("keep", [False, True])
def test_one_that_is_no_better_is_written_only_if_asked_for(
    keep: bool,
    *,
    flights: Artefact,
    march: Labelled,
    tmp_path: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(retraining, "is_better", lambda _: False)
    monkeypatch.setattr(retraining, "from_dataset", lambda *_: march)
    out = tmp_path / "next"
    options = RetrainOptions(out, months="3", keep=keep)
    assert retrain(settings(flights, tmp_path), options) == retraining.NOT_BETTER
    assert "do not take it" in capsys.readouterr().out
    assert out.exists() is keep
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".tmp")] == []


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"months": "13"}, "names no months of a year"),
        ({"since": "yesterday"}, "yesterday"),
        ({"months": "3", "least": 10**6}, "--min-rows asks for 1,000,000"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(
    options: dict[str, Any],
    why: str,
    *,
    flights: Artefact,
    march: Labelled,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(retraining, "from_dataset", lambda *_: march)
    assert retrain(settings(flights, tmp_path), RetrainOptions(tmp_path / "next", **options)) == 2
    assert why in capsys.readouterr().err


def test_a_challenger_takes_the_place_of_no_file(
    flights: Artefact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "wine.joblib"
    out.write_bytes(b"a model")
    assert (
        retrain(settings(flights, tmp_path), RetrainOptions(out, months="3")) == retraining.TROUBLE
    )
    assert "wine.joblib is not an artefact folder and is not overwritten" in capsys.readouterr().err
    assert out.read_bytes() == b"a model"
