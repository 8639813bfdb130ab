"""The model that a report is about, and whether another version has answered since."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidegate.drift.report.findings import Model, NewerVersion
from tidegate.store.base import EventStore, SearchRequest
from tidegate.store.query import time_ranges
from tidegate.store.search.event_lines import text_of

ANSWERED: Final = "event.dataset:tidegate.request AND _exists_:tidegate.prediction.label"


class NoModelError(ValueError):
    """There is no model to report on; the message is the reason."""


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model, and in words where it comes from."""

    model: Model
    source: str


def newer_version(store: EventStore, model: Model, since: datetime) -> NewerVersion | None:
    """The version of the model that answered last, if it is another one.

    Raises:
        StoreUnavailableError: the store cannot be queried now.
    """
    query = f'{ANSWERED} AND tidegate.model.name:"{model.name}"'
    for event in store.search(SearchRequest(query=query, since=since, size=1)).hits:
        version = text_of(event, "tidegate.model.version")
        at = time_ranges.microseconds(text_of(event, "@timestamp")) or 0
        if version != model.version:
            return NewerVersion(version, at / 1e6)
    return None
