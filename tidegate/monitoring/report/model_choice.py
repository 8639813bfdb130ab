"""The model that a report is about, and whether another version has answered since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tidegate.monitoring.counting.reference import BadReferenceError, load_reference
from tidegate.monitoring.report.findings import NewerVersion
from tidegate.monitoring.tasks.model import Model
from tidegate.store.base import EventStore, SearchRequest, Terms
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import quoted
from tidegate.store.search.event_lines import text_of

ANSWERED: Final = "event.dataset:tidegate.request AND _exists_:tidegate.prediction.label"
MAX_MODELS: Final = 20


class NoModelError(ValueError):
    """There is no model to report on; the message is the reason."""


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model, in words where it comes from, and the option that names another version."""

    model: Model
    source: str
    option: str = "--model"


def watched_model(
    store: EventStore, reference: Path, name: str, version: str, since: datetime
) -> ChosenModel:
    """The model that an application watches, which has no artefact: its reference is given.

    Without a name it is the only model in the events since that time, and without a version the one that
    answered last.

    Raises:
        NoModelError: the reference cannot be read, or the events do not say which model is meant.
        StoreUnavailableError: the store cannot be queried now.
    """
    try:
        read = load_reference(reference)
    except BadReferenceError as error:
        raise NoModelError(f"--reference: {error}") from error
    name = name or _only_name(store, since)
    if not version:
        version = _last_version(store, name, since)[0]
    if not version:
        raise NoModelError(
            f"no event since {since:%Y-%m-%d %H:%M} UTC is of a prediction of {name}: pass an earlier "
            "--since, another --name, or the version as --version"
        )
    labels = read.prediction.labels if read.prediction is not None else ()
    model = Model(name, version, labels, read.accuracy, read)
    return ChosenModel(model, f"{name} {version}, with {reference}, from --reference", "--version")


def _only_name(store: EventStore, since: datetime) -> str:
    """The name of the only model in the events."""
    terms = {"names": Terms("tidegate.model.name", MAX_MODELS)}
    request = SearchRequest(query=ANSWERED, since=since, size=0, aggregations=terms)
    buckets = store.search(request).aggregations["names"]
    names = sorted(str(each.key) for each in buckets)
    if len(names) == 1:
        return names[0]
    if not names:
        raise NoModelError(
            f"no event since {since:%Y-%m-%d %H:%M} UTC is of a prediction: pass an earlier --since, or the "
            "model as --name and --version"
        )
    raise NoModelError(
        f"the events are of several models, {', '.join(names)}: choose one with --name"
    )


def newer_version(store: EventStore, model: Model, since: datetime) -> NewerVersion | None:
    """The version of the model that answered last, if it is another one.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    version, at = _last_version(store, model.name, since)
    return NewerVersion(version, at) if version not in {"", model.version} else None


def _last_version(store: EventStore, name: str, since: datetime) -> tuple[str, float]:
    """The version of a model that answered last, and when; an empty one if none did."""
    query = f"{ANSWERED} AND tidegate.model.name:{quoted(name)}"
    for event in store.search(SearchRequest(query=query, since=since, size=1)).hits:
        at = time_ranges.microseconds(text_of(event, "@timestamp")) or 0
        return text_of(event, "tidegate.model.version"), at / 1e6
    return "", 0.0


def first_answer(store: EventStore, model: Model, since: datetime) -> float:
    """The time of the first event of a version of a model, in seconds since 1970; `since` without any.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    name, version = quoted(model.name), quoted(model.version)
    query = f"tidegate.model.name:{name} AND tidegate.model.version:{version}"
    request = SearchRequest(query=query, since=since, order="asc", size=1)
    for event in store.search(request).hits:
        if at := time_ranges.microseconds(text_of(event, "@timestamp")):
            return at / 1e6
    return since.timestamp()
