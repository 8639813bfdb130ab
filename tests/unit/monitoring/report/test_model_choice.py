"""The model that an application watches is found, and a newer version than that of the report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.samples.drift_report import ORIGIN
from support.samples.model_artefacts import regressor
from tidegate.events.event import Event, make_event
from tidegate.monitoring.report.findings import NewerVersion
from tidegate.monitoring.report.model_choice import NoModelError, newer_version, watched_model
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.registry import task_of
from tidegate.store.embedded.store import EmbeddedStore

START = datetime.fromtimestamp(int(time.time()) - 100, UTC)


def answered(at: datetime, version: str, *, name: str = "flights", label: str = "late") -> Event:
    prediction = {"prediction": {"label": label}} if label else {}
    fields = {"tidegate": {"model": {"name": name, "version": version}, **prediction}}
    at_ns = int(at.timestamp() * 1e9)
    return make_event(ORIGIN, "request", "answered", unix_ns=at_ns, fields=fields)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], None),
        ([(1, "v1", {})], None),
        ([(1, "v2", {}), (2, "v1", {})], None),
        ([(1, "v1", {}), (2, "v2", {})], (2, "v2")),
        ([(1, "v1", {}), (2, "v2", {"name": "wine"})], None),
        ([(1, "v1", {}), (2, "v2", {"label": ""})], None),  # refused requests do not count
    ],
)
def test_a_version_that_answered_later_is_found(
    model: Model,
    tmp_path: Path,
    events: list[tuple[int, str, dict[str, str]]],
    expected: tuple[int, str] | None,
) -> None:
    start = datetime.fromtimestamp(int(time.time()) - 100, UTC)
    store = EmbeddedStore(tmp_path / "store")
    store.append([answered(start + timedelta(seconds=at), of, **more) for at, of, more in events])
    found = newer_version(store, model, start)
    store.close()
    at = start.timestamp()
    assert found == (NewerVersion(expected[1], at + expected[0]) if expected else None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """Two versions of `fraud` have answered, and then one of `wine`."""
    store = EmbeddedStore(tmp_path / "store")
    store.append(
        [
            answered(START + timedelta(seconds=1), "1", name="fraud"),
            answered(START + timedelta(seconds=2), "2", name="fraud"),
            answered(START + timedelta(seconds=30), "7", name="wine"),
        ]
    )
    yield store
    store.close()


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    file = tmp_path / "reference.json"
    file.write_text(regressor().reference.model_dump_json())
    return file


def test_a_watched_model_has_its_reference_and_the_version_that_answered_last(
    store: EmbeddedStore, reference: Path
) -> None:
    chosen = watched_model(store, reference, "fraud", "", START)
    assert (chosen.model.name, chosen.model.version) == ("fraud", "2")
    assert task_of(chosen.model.reference) == "regression"
    assert chosen.model.reference == regressor().reference
    assert chosen.source == f"fraud 2, with {reference}, from --reference"
    assert chosen.option == "--version"
    assert watched_model(store, reference, "fraud", "1", START).model.version == "1"


def test_a_watched_classifier_has_the_accuracy_of_its_reference(
    store: EmbeddedStore, reference: Path
) -> None:
    measured = regressor().reference.model_copy(update={"residuals": None, "accuracy": 0.9})
    reference.write_text(measured.model_dump_json())
    assert watched_model(store, reference, "fraud", "", START).model.accuracy == 0.9


def test_the_only_model_in_the_events_needs_no_name(store: EmbeddedStore, reference: Path) -> None:
    late = START + timedelta(seconds=20)
    assert watched_model(store, reference, "", "", late).model.name == "wine"


@pytest.mark.parametrize(
    ("seconds", "name", "message"),
    [
        (0, "", "the events are of several models, fraud, wine: choose one with --name"),
        (
            60,
            "",
            "is of a prediction: pass an earlier --since, or the model as --name and --version",
        ),
        (0, 'f"raud', r'is of a prediction of f"raud: pass an earlier --since'),
        (20, "fraud", "is of a prediction of fraud: pass an earlier --since"),
    ],
)
def test_the_error_says_which_option_is_missing(
    store: EmbeddedStore, reference: Path, seconds: int, name: str, message: str
) -> None:
    with pytest.raises(NoModelError, match=message):
        watched_model(store, reference, name, "", START + timedelta(seconds=seconds))


def test_an_unreadable_reference_is_an_error(store: EmbeddedStore, tmp_path: Path) -> None:
    with pytest.raises(NoModelError, match=r"--reference: .*missing\.json cannot be read"):
        watched_model(store, tmp_path / "missing.json", "fraud", "1", START)
