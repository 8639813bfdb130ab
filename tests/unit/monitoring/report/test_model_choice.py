"""The model that an application watches is found, and a newer version than that of the report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.samples.drift_report import CLASSIFIER, ORIGIN, REGRESSOR
from tidegate.events.event import Event, make_event
from tidegate.monitoring.report.findings import NewerVersion
from tidegate.monitoring.report.model_choice import NoModelError, newer_version, watched_model
from tidegate.monitoring.tasks.registry import task_of
from tidegate.store.embedded.store import EmbeddedStore

START = datetime.fromtimestamp(int(time.time()) - 100, UTC)
REFERENCE = REGRESSOR.reference


def answered(seconds: float, version: str, *, name: str = "flights", label: str = "late") -> Event:
    """The event of a request, so long after the start."""
    prediction = {"prediction": {"label": label}} if label else {}
    fields = {"tidegate": {"model": {"name": name, "version": version}, **prediction}}
    at_ns = int((START.timestamp() + seconds) * 1e9)
    return make_event(ORIGIN, "request", "answered", unix_ns=at_ns, fields=fields)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(tmp_path / "store")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([answered(1, "v1")], None),
        ([answered(1, "v2"), answered(2, "v1")], None),
        ([answered(1, "v1"), answered(2, "v2")], NewerVersion("v2", START.timestamp() + 2)),
        ([answered(1, "v1"), answered(2, "v2", name="wine")], None),
        ([answered(1, "v1"), answered(2, "v2", label="")], None),  # refused requests do not count
    ],
)
def test_a_version_that_answered_later_is_found(
    store: EmbeddedStore, events: list[Event], expected: NewerVersion | None
) -> None:
    store.append(events)
    assert newer_version(store, CLASSIFIER, START) == expected


@pytest.fixture
def models(store: EmbeddedStore) -> EmbeddedStore:
    """Two versions of `fraud` have answered, and then one of `wine`."""
    store.append(
        [
            answered(1, "1", name="fraud"),
            answered(2, "2", name="fraud"),
            answered(30, "7", name="wine"),
        ]
    )
    return store


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    file = tmp_path / "reference.json"
    file.write_text(REFERENCE.model_dump_json())
    return file


def test_a_watched_model_has_its_reference_and_the_version_that_answered_last(
    models: EmbeddedStore, reference: Path
) -> None:
    chosen = watched_model(models, reference, "fraud", "", START)
    assert (chosen.model.name, chosen.model.version) == ("fraud", "2")
    assert task_of(chosen.model.reference) == "regression"
    assert chosen.model.reference == REFERENCE
    assert chosen.source == f"fraud 2, with {reference}, from --reference"
    assert chosen.option == "--version"
    assert watched_model(models, reference, "fraud", "1", START).model.version == "1"


def test_the_only_model_in_the_events_needs_no_name(models: EmbeddedStore, reference: Path) -> None:
    late = START + timedelta(seconds=20)
    assert watched_model(models, reference, "", "", late).model.name == "wine"


@pytest.mark.parametrize(
    ("seconds", "name", "message"),
    [
        (0, "", "the events are of several models, fraud, wine: choose one with --name"),
        (60, "", "is of a prediction: pass an earlier --since, or the model as --name and "),
        (0, 'f"raud', r'is of a prediction of f"raud: pass an earlier --since'),
        (20, "fraud", "is of a prediction of fraud: pass an earlier --since"),
    ],
)
def test_the_error_says_which_option_is_missing(
    models: EmbeddedStore, reference: Path, seconds: int, name: str, message: str
) -> None:
    with pytest.raises(NoModelError, match=message):
        watched_model(models, reference, name, "", START + timedelta(seconds=seconds))


def test_a_watched_classifier_has_the_accuracy_of_its_reference(
    models: EmbeddedStore, reference: Path
) -> None:
    measured = REFERENCE.model_copy(update={"residuals": None, "accuracy": 0.9})
    reference.write_text(measured.model_dump_json())
    assert watched_model(models, reference, "fraud", "", START).model.accuracy == 0.9


def test_an_unreadable_reference_is_an_error(models: EmbeddedStore, tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match=r"--reference: .*missing\.json cannot be read"):
        watched_model(models, tmp_path / "missing.json", "fraud", "1", START)
